"""The event destination that delivers Stripe's events to Amazon EventBridge in the deployment's account and region."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from stripe import StripeClient

from cli.setup.endpoint import refusals
from shared.stripe.gateway import StripeJson
from shared.stripe.webhook_endpoint import API_VERSION, MADE_BY

_KIND = "amazon_eventbridge"
_PATH = "/v2/core/event_destinations"


@dataclass(frozen=True, slots=True)
class EventDestination:
    """`source` is the partner event source's name, which the stack's StripeEventSource takes."""

    id: str
    status: str
    source: str
    source_status: str

    @property
    def is_active(self) -> bool:
        """Whether events arrive on the bus, as far as Stripe knows."""
        return self.status == "enabled" and self.source_status == "active"


def destinations_of(client: StripeClient, account: str, region: str, events: Sequence[str]) -> list[EventDestination]:
    """Return the destinations for subscriptions of this AWS account and region."""
    return [
        _read(each)
        for each in _every(client)
        if each[_KIND]["aws_account_id"] == account
        and f":{region}:" in each[_KIND]["aws_event_source_arn"]
        and {*each["enabled_events"]} & {"*", *events, *(f"v1.{name}" for name in events)}
    ]


def every_destination(client: StripeClient) -> list[EventDestination]:
    """Return the destinations on EventBridge, of whatever AWS account."""
    return [_read(each) for each in _every(client)]


def _every(client: StripeClient) -> Iterator[StripeJson]:
    path: str | None = f"{_PATH}?limit=100"
    while path:
        with refusals():
            page = client.raw_request("get", path).data
        yield from (each for each in page["data"] if each["type"] == _KIND)
        path = page.get("next_page_url")


def create_destination(client: StripeClient, account: str, region: str, events: Sequence[str]) -> EventDestination:
    """Create a destination with exactly these events, as snapshots."""
    name, value = MADE_BY
    params: Any = {
        "name": "Mirror of subscriptions",
        "type": _KIND,
        "event_payload": "snapshot",
        "snapshot_api_version": API_VERSION,
        "enabled_events": list(events),
        "metadata": {name: value},
        _KIND: {"aws_account_id": account, "aws_region": region},
    }
    with refusals():
        made = client.v2.core.event_destinations.create(params)
    return _read(made.to_dict(for_json=True))


def _read(raw: StripeJson) -> EventDestination:
    bridge = raw[_KIND]
    source = str(bridge["aws_event_source_arn"]).partition("event-source/")[2]
    return EventDestination(raw["id"], raw["status"], source, bridge["aws_event_source_status"])
