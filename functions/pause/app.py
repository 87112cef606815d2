"""Adapts API Gateway's events to the requests about pauses, and the schedule's event to a look at each pause due."""

import json
from enum import StrEnum
from functools import cache
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qs

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.event_handler import APIGatewayHttpResolver, Response
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext

from functions.pause.answers import result_json
from functions.pause.caller import Caller
from functions.pause.page import PageAnswer, Visit
from functions.pause.wiring import wire
from shared.deadline import deadline
from shared.errors import Conflict, InvalidRequest, OperatorError, PortalError, Unavailable
from shared.http import (
    CONTENT_TYPE,
    NOT_KEPT,
    SAFE_HEADERS,
    body_of,
    internal_error,
    log_failure,
    log_problem,
    problem,
    problem_response,
    retry_after,
    status_of,
    verified_claims,
)
from shared.i18n import best_language
from shared.pausing.history import PauseRecord, PauseState
from shared.pausing.operations import Outcome, PauseResult
from shared.visitor_page import Visitor, visitor_page

logger = Logger(service="pause")
metrics = Metrics(service="pause")
# `debug` and, below, `log_event` are set explicitly, so that none of Powertools' own variables prints the event, which
# holds tokens.
app = APIGatewayHttpResolver(debug=False)

_wire = cache(wire)

_HEADERS = NOT_KEPT | SAFE_HEADERS | {"Vary": "Accept-Language, Authorization"}
_PAGE_PATH = "/pause"
_ERROR_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'"
# A pause takes up to five requests to Stripe; API Gateway waits 29 s. Whatever is not done then, the schedule finishes.
REQUEST_SECONDS = 15
# One look at one pause, of the schedule's.
FOLLOW_SECONDS = 12
_LEAST_MILLISECONDS = 15_000
_MOST_BODY_BYTES = 4_096


class PauseMetric(StrEnum):
    """Each request counts as one of the first eight or `PAGE`; the rest are the mails and what the schedule finds."""

    DONE = "PauseDone"
    UNDERWAY = "PauseUnderway"
    REFUSED = "PauseRefused"
    LISTED = "PauseListed"
    MISCONFIGURED = "PauseMisconfigured"
    UNAVAILABLE = "PauseUnavailable"
    FAILED = "PauseFailed"
    BUSY = "PauseBusy"
    FOLLOWED = "PauseFollowed"
    FOLLOW_FAILED = "PauseFollowFailed"
    NOT_CARRIED_OUT = "PauseNotCarriedOut"
    PAGE = "PausePageShown"
    NOTICE = "PauseNoticeSent"
    NOTICE_FAILED = "PauseNoticeFailed"


_COUNTED = {
    Outcome.DONE: PauseMetric.DONE,
    Outcome.UNDERWAY: PauseMetric.UNDERWAY,
    Outcome.REFUSED: PauseMetric.REFUSED,
    Outcome.BUSY: PauseMetric.BUSY,
}


@logger.inject_lambda_context(log_event=False, clear_state=True)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Handle a request of API Gateway's (payload format 2.0), or the schedule's event."""
    try:
        if "requestContext" not in event:
            return follow_due(context)
        logger.set_correlation_id(str(event["requestContext"].get("requestId", "")))
        with deadline(REQUEST_SECONDS):
            return app.resolve(event, context)
    finally:
        # Most invocations of the schedule count nothing, and Powertools' own decorator would warn about that.
        if metrics.provider.metric_set:
            metrics.flush_metrics()


@app.get("/subscriptions")
def get_subscriptions() -> Response[str]:
    """Return the caller's subscriptions, their pauses, and what a pause would be."""
    caller, language = _caller(), _language()
    listed = _wire().answers.list(caller, language)
    metrics.add_metric(PauseMetric.LISTED, MetricUnit.Count, 1)
    return _json(HTTPStatus.OK, listed)


@app.post("/subscriptions/<subscription>/pause")
def post_pause(subscription: str) -> Response[str]:
    """Pause a subscription, or change its date of return."""
    body = body_of(app.current_event.raw_event, _MOST_BODY_BYTES)
    return _respond(_wire().answers.pause(_caller(), subscription, body))


@app.post("/subscriptions/<subscription>/resume")
def post_resume(subscription: str) -> Response[str]:
    """Resume a subscription."""
    return _respond(_wire().answers.end(_caller(), subscription, "resume"))


@app.post("/subscriptions/<subscription>/undo")
def post_undo(subscription: str) -> Response[str]:
    """Undo a pause that has not begun."""
    return _respond(_wire().answers.end(_caller(), subscription, "undo"))


@app.post("/subscriptions/<subscription>/release")
def post_release(subscription: str) -> Response[str]:
    """Give up the date of return, so that the portal can cancel the subscription."""
    return _respond(_wire().answers.end(_caller(), subscription, "release"))


@app.get(_PAGE_PATH, include_in_schema=False)
def get_page() -> Response[str]:
    """Show the customer's page for pauses, or the step of it that a mail links to. Nothing is changed by a GET."""
    query = app.current_event.query_string_parameters
    visit, pages = _visit(query.get("token", "")), _wire().pages
    if extend := query.get("extend"):
        answer = pages.propose_extension(visit, extend)
    elif cancel := query.get("cancel"):
        answer = pages.lead_to_cancellation(visit, cancel, done=query.get("done"))
    else:
        answer = pages.show(visit, done=query.get("done"))
    metrics.add_metric(PauseMetric.PAGE, MetricUnit.Count, 1)
    return _page(visit, answer)


@app.post(_PAGE_PATH, include_in_schema=False)
def post_page() -> Response[str]:
    """Carry out what the customer asks for on the page, or show what it means."""
    form = _form(body_of(app.current_event.raw_event, _MOST_BODY_BYTES))
    visit = _visit(form.get("token", ""))
    answer = _wire().pages.act(visit, form)
    if answer.result is not None:
        metrics.add_metric(_COUNTED[answer.result.outcome], MetricUnit.Count, 1)
        _send_notice(answer.result.record)
    else:
        metrics.add_metric(PauseMetric.PAGE, MetricUnit.Count, 1)
    return _page(visit, answer)


@app.exception_handler(PortalError)  # type: ignore[untyped-decorator]  # Powertools leaves this one untyped
def respond_to_error(error: PortalError) -> Response[str]:
    """Log and count an error that was raised on purpose, and return its response."""
    log_problem(logger, error)
    match error:
        case OperatorError():
            metrics.add_metric(PauseMetric.MISCONFIGURED, MetricUnit.Count, 1)
        case Unavailable():
            metrics.add_metric(PauseMetric.UNAVAILABLE, MetricUnit.Count, 1)
        case _:
            metrics.add_metric(PauseMetric.REFUSED, MetricUnit.Count, 1)
    return _error_response(error)


@app.exception_handler(Exception)  # type: ignore[untyped-decorator]  # Powertools leaves this one untyped
def respond_to_failure(error: Exception) -> Response[str]:
    """Log and count a fault of ours, and return the usual response instead of API Gateway's bare JSON."""
    log_failure(logger, error)
    metrics.add_metric(PauseMetric.FAILED, MetricUnit.Count, 1)
    return _error_response(internal_error())


def follow_due(context: LambdaContext) -> dict[str, Any]:
    """Look at every pause that is due while there is time; the next invocation continues with the longest due."""
    counts = {"followed": 0, "failed": 0, "not_carried_out": 0}
    pausing = _wire().pausing
    # Read whole before any is looked at: each look moves its pause to a later place.
    for subscription in list(pausing.table.due(now=pausing.clock())):
        if context.get_remaining_time_in_millis() < _LEAST_MILLISECONDS:
            break
        with logger.append_context_keys(subscription=subscription):
            try:
                with deadline(FOLLOW_SECONDS):
                    record = pausing.follow(subscription)
            except PortalError as error:
                log_problem(logger, error)
                counts["failed"] += 1
            except Exception as error:  # noqa: BLE001 - a fault of our own must not stop the other pauses
                log_failure(logger, error)
                counts["failed"] += 1
            else:
                counts["followed"] += 1
                counts["not_carried_out"] += _report(record)
                _send_notice(record)
    for metric, name in (
        (PauseMetric.FOLLOWED, "followed"),
        (PauseMetric.FOLLOW_FAILED, "failed"),
        (PauseMetric.NOT_CARRIED_OUT, "not_carried_out"),
    ):
        if counts[name]:
            metrics.add_metric(metric, MetricUnit.Count, counts[name])
    return dict(counts)


def _report(record: PauseRecord | None) -> bool:
    """Log a pause or resume that Stripe does not carry out, and return whether it is one.

    A resume that waits for the customer's payment is none of the operator's faults.
    """
    if record is None:
        return False
    is_stuck = record.state is PauseState.FAILED or record.waiting == "stripe" or record.step == "no_return"
    is_stuck = is_stuck or record.failure == "subscription_missing"
    if is_stuck:
        fields = {"subscription": record.subscription_id, "state": record.state.value, "failure": record.failure}
        logger.error("Stripe does not carry out a pause", extra=fields | {"detail": record.failure_detail})
    return is_stuck


def _send_notice(record: PauseRecord | None) -> None:
    """Send the mail that is due about a pause; what goes wrong is left to the next look at it."""
    if record is None:
        return
    parts = _wire()
    try:
        with deadline(FOLLOW_SECONDS):
            sent = parts.notices.send_due(record, now=parts.pausing.clock())
    except PortalError as error:
        log_problem(logger, error)
        metrics.add_metric(PauseMetric.NOTICE_FAILED, MetricUnit.Count, 1)
    except Exception as error:  # noqa: BLE001 - what was done about the pause is done
        log_failure(logger, error)
        metrics.add_metric(PauseMetric.NOTICE_FAILED, MetricUnit.Count, 1)
    else:
        if sent:
            metrics.add_metric(PauseMetric.NOTICE, MetricUnit.Count, 1)


def _visit(token: str) -> Visit:
    caller = _wire().answers.holder(token)
    return Visit(token, caller, best_language(caller.locale, app.current_event.headers.get("accept-language")))


def _form(body: bytes) -> dict[str, str]:
    """Read a form; of a field that comes twice the first one counts."""
    try:
        fields = parse_qs(body.decode("ascii"), keep_blank_values=True, max_num_fields=20, errors="strict")
    except ValueError:
        raise InvalidRequest("bad_request", "The body is no form") from None
    return {name: values[0] for name, values in fields.items()}


def _page(visit: Visit, answer: PageAnswer) -> Response[str]:
    if answer.location:
        return Response(answer.status.value, headers=_HEADERS | {"Location": answer.location}, body="")
    headers = _HEADERS | {
        # `no-referrer` would have browsers send `Origin: null` with our own forms. No other site gets the address.
        "Referrer-Policy": "same-origin",
        "Content-Language": visit.language,
        "Content-Security-Policy": answer.policy,
    }
    return Response(answer.status.value, "text/html; charset=utf-8", answer.html, headers=headers)


def _caller() -> Caller:
    event = app.current_event
    claims = verified_claims(event.raw_event)
    return _wire().answers.caller(claims, event.headers.get("authorization"), event.query_string_parameters)


def _language() -> str:
    return best_language(app.current_event.headers.get("accept-language"))


def _respond(result: PauseResult) -> Response[str]:
    metrics.add_metric(_COUNTED[result.outcome], MetricUnit.Count, 1)
    _send_notice(result.record)
    body = result_json(result, _language())
    match result.outcome:
        case Outcome.DONE:
            return _json(HTTPStatus.OK, body)
        case Outcome.UNDERWAY:
            return _json(HTTPStatus.ACCEPTED, body)
        case Outcome.REFUSED:
            refused = Conflict("pause_refused", "; ".join(each.why.say("en") for each in result.refusals))
        case Outcome.BUSY:
            refused = Conflict("pause_busy", "Another change of this pause is under way; try again in a moment")
    logger.info(refused.message, extra={"code": refused.code, "reasons": [each.code for each in result.refusals]})
    problem_ = json.loads(problem(refused)) | body
    return Response(status_of(Conflict).value, CONTENT_TYPE, json.dumps(problem_), headers=dict(_HEADERS))


def _json(status: HTTPStatus, body: dict[str, Any]) -> Response[str]:
    return Response(status.value, "application/json", json.dumps(body), headers=dict(_HEADERS))


def _error_response(error: PortalError) -> Response[str]:
    response, headers = problem_response(error), _HEADERS | retry_after(error)
    event = app.current_event
    if event.path != _PAGE_PATH:
        return Response(response.status, CONTENT_TYPE, response.body, headers=headers)
    reference = str(event.raw_event["requestContext"].get("requestId", ""))
    # Without a token there is no page to go to instead.
    is_link = event.http_method == "GET"
    visitor = Visitor(event.headers.get("accept-language"), has_token=False, reference=reference, followed_link=is_link)
    headers |= {"Content-Language": visitor.language, "Content-Security-Policy": _ERROR_POLICY}
    return Response(response.status, "text/html; charset=utf-8", visitor_page(error, visitor), headers=headers)
