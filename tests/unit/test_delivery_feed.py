"""What became of a delivery, in the words of the control room."""

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from local.site.delivery_feed import WebhookLog, shown_delivery


def record(status: int | None, response: object = "", **values: Any) -> dict[str, Any]:
    return {
        "number": 1,
        "time": 0,
        "event": "evt_1",
        "type": "customer.subscription.updated",
        "customer": "cus_1",
        "object": "sub_1",
        "attempt": 1,
        "duplicate": False,
        "status_code": status,
        "error": None,
        "next_retry": None,
        "response": response if isinstance(response, str) else json.dumps(response),
    } | values


@pytest.mark.parametrize("outcome", ["applied", "stale", "duplicate", "queued", "dead_letter", "ignored_type"])
def test_the_webhooks_own_word_is_shown_with_its_reason(outcome: str) -> None:
    shown = shown_delivery(record(200, {"outcome": outcome}))
    assert shown.outcome == outcome
    assert shown.reason
    assert (shown.subscription, shown.customer) == ("sub_1", "cus_1")


def test_what_was_refused_says_why() -> None:
    shown = shown_delivery(record(400, {"code": "signature_wrong", "detail": "The signature is wrong"}))
    assert (shown.outcome, shown.reason) == ("refused", "400: The signature is wrong")


@pytest.mark.parametrize("response", ["", "<html>", "[]", '"text"', "null"])
def test_a_response_that_says_nothing_is_never_called_a_success(response: str) -> None:
    assert shown_delivery(record(503, response)).outcome == "failed"
    assert shown_delivery(record(200, response)).outcome == "refused"


def test_what_was_never_sent_and_what_got_no_response() -> None:
    assert shown_delivery(record(None, error="dropped")).reason == "Stripe did not send it"
    assert shown_delivery(record(None, error="ReadTimeout")).reason == "no response: ReadTimeout"


def test_an_object_that_is_no_subscription_is_not_called_one() -> None:
    assert not shown_delivery(record(200, {"outcome": "ignored_type"}, object="in_1", customer=None)).subscription


@pytest.fixture
def terminal() -> Iterator[io.StringIO]:
    """The webhook's logger as the stack has it: warnings go to the terminal."""
    logger, text = logging.getLogger("webhook"), io.StringIO()
    handler, level = logging.StreamHandler(text), logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.WARNING)
    yield text
    logger.removeHandler(handler)
    logger.setLevel(level)


def test_outcomes_are_read_from_the_log_and_the_terminal_shows_what_it_did(terminal: io.StringIO) -> None:
    log, logger = WebhookLog(), logging.getLogger("webhook")
    log.attach()
    try:
        logger.info("event", extra={"event_id": "evt_1", "outcome": "queued"})
        assert not log.outcome_of("evt_1")
        logger.info("event", extra={"event_id": "evt_1", "outcome": "stale"})
        logger.warning("Something is wrong")
    finally:
        log.detach()
    assert log.outcome_of("evt_1") == "stale"
    assert terminal.getvalue() == "Something is wrong\n"


def test_old_outcomes_are_forgotten() -> None:
    log = WebhookLog()
    for number in range(2500):
        log.emit(logging.makeLogRecord({"event_id": f"evt_{number}", "outcome": "applied"}))
    assert not log.outcome_of("evt_0")
    assert log.outcome_of("evt_2499") == "applied"
