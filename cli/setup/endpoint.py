"""The deployment's webhook endpoint at Stripe: one, with its signing secret stored, whatever was interrupted.

Stripe's API shows a signing secret once, in the response that creates the endpoint
(docs.stripe.com/api/webhook_endpoints): a command that is killed before it has stored the secret leaves an endpoint
whose events nobody can verify. The id of the endpoint is therefore stored with its secret, in one write. An endpoint of
our making that is not stored is deleted, and another one is created. No other program receives at the deployment's
address, so every endpoint there is the deployment's.

Two people may run commands at once. Stripe has no lock and no conditional write; the secret has one, so it decides: a
run stores the secret of its new endpoint only if the secret is as it was when the run looked, and deletes the endpoint
otherwise. Nothing that delivers is ended before the stored endpoint has been seen at Stripe.
"""

import json
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import requests
import stripe
from botocore.exceptions import BotoCoreError, ClientError
from stripe import StripeClient, WebhookSignature

from cli.setup.stored_secret import Content, StoredSecret
from shared.errors import InvalidRequest, OperatorError, PortalError, Unavailable, sentence
from shared.i18n import Message, _
from shared.secret_store import REREAD_SECONDS, PreviousSigningSecret, SigningSecrets
from shared.stripe.gateway import StripeJson, refused_request, stripe_errors
from shared.stripe.webhook_endpoint import API_VERSION, EVENTS, MADE_BY, endpoint_parameters

_MOST = 100
_LOOKS = 5
# No event of Stripe's has this type: the webhook verifies it, and ignores it.
TEST_EVENT_TYPE = "portal.connection_test"
_TEST_SECONDS = 10
# The webhook reads its secrets again when a signature fits none, but only so often.
_ACCEPTED_WITHIN_SECONDS = REREAD_SECONDS + 15
_PAUSE_SECONDS = 5


@contextmanager
def refusals() -> Iterator[None]:
    """As `stripe_errors`, and with an `OperatorError` for what Stripe refuses."""
    with stripe_errors():
        try:
            yield
        except stripe.InvalidRequestError as error:
            raise refused_request(error) from error


def endpoints_at(client: StripeClient, url: str) -> list[StripeJson]:
    """Return the account's webhook endpoints with this address, the newest first."""
    with refusals():
        listed = client.v1.webhook_endpoints.list({"limit": _MOST})
        every: list[StripeJson] = [each.to_dict(for_json=True) for each in listed.auto_paging_iter()]
    return sorted((each for each in every if each["url"] == url), key=lambda each: int(each["created"]), reverse=True)


def created(endpoint: StripeJson) -> Message:
    """Say that an endpoint was created."""
    return _(
        "created {id} (API {api_version}), and stored its signing secret", id=endpoint["id"], api_version=API_VERSION
    )


def deleted_orphan(endpoint_id: str) -> Message:
    """Say that an endpoint was deleted whose secret nobody has."""
    return _("deleted {id}, which an interrupted run had created before its secret was stored", id=endpoint_id)


def is_ours(endpoint: StripeJson) -> bool:
    """Whether one of our commands made the endpoint."""
    name, value = MADE_BY
    return bool((endpoint.get("metadata") or {}).get(name) == value)


def missing_events(endpoint: StripeJson, wanted: Sequence[str]) -> list[str]:
    """Return the types of events that the endpoint should be sent, and is not."""
    enabled = endpoint.get("enabled_events") or ()
    return [] if "*" in enabled else [each for each in wanted if each not in enabled]


def has_others(endpoint: StripeJson, wanted: Sequence[str]) -> bool:
    """Whether the endpoint is also sent events that the webhook ignores."""
    return bool(set(endpoint.get("enabled_events") or ()) - set(wanted))


@dataclass(frozen=True, slots=True)
class EndpointState:
    """What there is: at Stripe, and in the secret (`stored`).

    `current`: the endpoint that signs with the first stored secret, as far as is known. `orphans`: endpoints of our
    making whose secret was never stored. `replaced`: those that sign with a previous secret. `unknown`: made by hand,
    while their secret is not stored, or cannot be told from another's.
    """

    stored: SigningSecrets
    current: StripeJson | None
    orphans: tuple[StripeJson, ...]
    replaced: tuple[StripeJson, ...]
    unknown: tuple[StripeJson, ...]

    @property
    def delivers(self) -> bool:
        """Whether Stripe sends events that are signed with the first stored secret."""
        return self.current is not None and self.current.get("status") != "disabled"


def endpoint_state(endpoints: Sequence[StripeJson], stored: SigningSecrets) -> EndpointState:
    """Compare the endpoints at the deployment's address, the newest first, with the secret."""
    replaced_ids = {each.endpoint for each in stored.previous if each.endpoint}
    has_secret = bool(stored.webhook_signing_secrets)
    others = [each for each in endpoints if each["id"] not in {stored.endpoint, *replaced_ids}]
    current = next((each for each in endpoints if has_secret and each["id"] == stored.endpoint), None)
    # A secret that was stored by hand does not say whose it is. With one endpoint there is no doubt.
    if stored.endpoint is None and len(stored.webhook_signing_secrets) == 1:
        candidates = [each for each in others if not is_ours(each)] or others
        current = candidates[0] if len(candidates) == 1 else None
    others = [each for each in others if each is not current]
    by_hand = [each for each in others if not is_ours(each)]
    return EndpointState(
        stored,
        current,
        tuple(each for each in others if is_ours(each)),
        tuple(each for each in endpoints if each["id"] in replaced_ids),
        tuple(by_hand),
    )


def read_state(client: StripeClient, url: str, store: StoredSecret[SigningSecrets]) -> EndpointState:
    """Read the endpoints, and the secret as it was at that moment. Raises `InvalidRequest` if it never stands still."""
    stored = store.parsed()
    for _try in range(_LOOKS):
        endpoints = endpoints_at(client, url)
        before, stored = stored, store.parsed()
        if stored == before:
            return endpoint_state(endpoints, stored)
    raise InvalidRequest(
        "changed_meanwhile", sentence("Somebody else keeps changing the secret of {name}: try again", name=store.name)
    )


def delete_orphans(
    client: StripeClient, url: str, store: StoredSecret[SigningSecrets], deleted: Callable[[str], None]
) -> EndpointState:
    """Delete the endpoints of our making whose secret was never stored, and return what there is then.

    `deleted` gets the id of each. It may be another run's that is about to store the secret: that run notices.
    """
    state = read_state(client, url, store)
    for each in state.orphans:
        delete_endpoint(client, each["id"])
        deleted(each["id"])
    return read_state(client, url, store) if state.orphans else state


def create_endpoint(  # noqa: PLR0913 - keywords
    client: StripeClient,
    url: str,
    store: StoredSecret[SigningSecrets],
    events: Sequence[str],
    *,
    seen: EndpointState,
    now: float,
    old_until: float,
) -> StripeJson:
    """Create an endpoint with exactly these events, and store its secret first; the old ones count until `old_until`.

    `seen` is what the caller decided on. Raises `InvalidRequest` if somebody else has changed the secrets since, or has
    deleted the new endpoint.

    If the secret cannot be stored, the endpoint is deleted again. Whatever is killed in between leaves an endpoint that
    `delete_orphans` finds.
    """
    with refusals():
        made = client.v1.webhook_endpoints.create(endpoint_parameters(url, events))
    endpoint: StripeJson = made.to_dict(for_json=True)

    def with_new(content: Content) -> Content:
        _check_unchanged(seen.stored, SigningSecrets.model_validate(content))
        signed_by = content.get("endpoint") or (seen.current or {}).get("id")
        return replaced({**content, "endpoint": signed_by}, str(made.secret), endpoint["id"], now=now, until=old_until)

    try:
        store.update(with_new)
    except BaseException:
        _delete_unless_stored(client, endpoint["id"], store)
        raise
    if not any(each["id"] == endpoint["id"] for each in endpoints_at(client, url)):
        raise InvalidRequest(
            "changed_meanwhile",
            sentence(
                "{id}, whose signing secret is stored, is gone from Stripe: somebody else ran such a command at the "
                "same time. Run this one again, alone",
                id=endpoint["id"],
            ),
        )
    return {each: endpoint[each] for each in endpoint if each != "secret"}


def _check_unchanged(before: SigningSecrets, now: SigningSecrets) -> None:
    if (now.endpoint, now.webhook_signing_secrets) != (before.endpoint, before.webhook_signing_secrets):
        raise InvalidRequest(
            "changed_meanwhile",
            sentence(
                "Somebody else has changed the signing secrets at the same time, so this run has stored nothing: run "
                "it again, alone"
            ),
        )


def _delete_unless_stored(client: StripeClient, endpoint_id: str, store: StoredSecret[SigningSecrets]) -> None:
    """Delete a new endpoint whose secret was not stored. What failed may have failed after it was."""
    with suppress(stripe.StripeError, PortalError, ClientError, BotoCoreError):
        if store.parsed().endpoint != endpoint_id:
            client.v1.webhook_endpoints.delete(endpoint_id)


def replaced(content: Content, new: str, endpoint: str, *, now: float, until: float) -> Content:
    """Return the secret's JSON with a new signing secret first, and the old ones in `previous`.

    Previous ones that have ended are left out; none lives longer than it was going to.
    """
    old = content.get("webhook_signing_secrets") or []
    ended = [each for each in content.get("previous") or [] if each["until"] > now and each["secret"] != new]
    moved = [
        {"secret": each, "until": int(until)} | ({"endpoint": content["endpoint"]} if _signs(content, place) else {})
        for place, each in enumerate(old)
        if each != new
    ]
    return {**content, "webhook_signing_secrets": [new], "endpoint": endpoint, "previous": [*moved, *ended]}


def _signs(content: Content, place: int) -> bool:
    """Whether it is the stored endpoint that signs with the secret in this place."""
    return place == 0 and bool(content.get("endpoint"))


def without_previous(content: Content, ended: Collection[PreviousSigningSecret]) -> Content:
    """Return the secret's JSON without these previous secrets."""
    secrets = {each.secret.get_secret_value() for each in ended}
    kept = [each for each in content.get("previous") or [] if each["secret"] not in secrets]
    return {**content, "previous": kept}


def delete_endpoint(client: StripeClient, endpoint_id: str) -> None:
    """Delete an endpoint, which may be gone already."""
    with stripe_errors(), suppress(stripe.InvalidRequestError):
        client.v1.webhook_endpoints.delete(endpoint_id)


def disable_endpoint(client: StripeClient, endpoint_id: str) -> None:
    """Have Stripe send nothing to an endpoint any more, which may be gone already."""
    with refusals():
        try:
            client.v1.webhook_endpoints.update(endpoint_id, {"disabled": True})
        except stripe.InvalidRequestError as error:
            if error.code != "resource_missing":
                raise


def repair_endpoint(client: StripeClient, endpoint: StripeJson, wanted: Sequence[str]) -> list[Message]:
    """Enable an endpoint, and add the types of events that it lacks; return what was done, in words.

    Its API version cannot be changed (stripe-python, `WebhookEndpointUpdateParams`).
    """
    params: Any = {}
    done = []
    if missing := missing_events(endpoint, wanted):
        params["enabled_events"] = [*endpoint["enabled_events"], *missing]
        done.append(_("added {events}", events=", ".join(missing)))
    if endpoint.get("status") == "disabled":
        params["disabled"] = False
        done.append(_("enabled it"))
    if params:
        with refusals():
            client.v1.webhook_endpoints.update(endpoint["id"], params)
    return done


def has_undelivered(client: StripeClient, since: float) -> bool:
    """Whether an event about subscriptions since then (Unix seconds) still waits for some endpoint of the account."""
    params: Any = {"delivery_success": False, "limit": 1, "created": {"gte": int(since)}, "types": list(EVENTS)}
    with refusals():
        found = client.raw_request("get", "/v1/events", **params).data
    return bool(found["data"])


def send_test_event(url: str, secret: str, *, now: float, livemode: bool) -> int:
    """Send the webhook a signed event that it verifies and ignores; return the status of its response.

    Raises `Unavailable` when nothing responds.
    """
    event = {
        "id": "evt_portalconnectiontest",
        "object": "event",
        "type": TEST_EVENT_TYPE,
        "created": int(now),
        "livemode": livemode,
        "data": {"object": {}},
    }
    body = json.dumps(event)
    header = str(WebhookSignature.generate_signature_header(body, secret, int(now)))
    headers = {"Content-Type": "application/json", "Stripe-Signature": header}
    try:
        response = requests.post(url, body.encode(), headers=headers, timeout=_TEST_SECONDS, allow_redirects=False)
    except requests.RequestException as error:
        raise Unavailable(
            "webhook_unreachable", sentence("{url} does not respond ({error})", url=url, error=type(error).__name__)
        ) from error
    return response.status_code


def is_accepted(url: str, secret: str, *, now: float, livemode: bool) -> bool:
    """Whether the webhook accepts an event that is signed with the secret. Raises `OperatorError` where it fails."""
    status = send_test_event(url, secret, now=now, livemode=livemode)
    if status not in {HTTPStatus.OK, HTTPStatus.BAD_REQUEST}:
        raise OperatorError(
            "test_event_refused",
            sentence("The webhook answered {status} to a signed test event: read its log", status=status),
        )
    return status == HTTPStatus.OK


def wait_until_accepted(url: str, secret: str, clock: Callable[[], float], *, livemode: bool) -> bool:
    """Whether the webhook accepts a secret within the time in which it reads a new one."""
    deadline = time.monotonic() + _ACCEPTED_WITHIN_SECONDS
    while not is_accepted(url, secret, now=clock(), livemode=livemode):
        if time.monotonic() > deadline:
            return False
        time.sleep(_PAUSE_SECONDS)
    return True
