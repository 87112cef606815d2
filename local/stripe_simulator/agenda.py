"""When each subscription next changes by itself."""

import heapq

from local.stripe_simulator.store import StripeObject

_BILLED = {"active", "past_due", "unpaid", "trialing"}


class Agenda:
    """A queue of subscriptions by the time of their next change; outdated entries are checked when they come up."""

    def __init__(self, pause_ends: dict[str, int], phase_starts: dict[str, int]) -> None:
        self._pause_ends = pause_ends
        self._phase_starts = phase_starts
        self._entries: list[tuple[int, str]] = []

    def due_at(self, subscription: StripeObject) -> int | None:
        """When a period, a trial, a pause or the subscription ends, or a phase begins; null when nothing is ahead."""
        if subscription["status"] in {"canceled", "incomplete_expired"}:
            return None
        name = subscription["id"]
        moments = [self._pause_ends.get(name), self._phase_starts.get(name), subscription["cancel_at"]]
        if subscription["status"] in _BILLED:
            moments += [item["current_period_end"] for item in subscription["items"]["data"]]
        if subscription["status"] == "trialing":
            moments.append(subscription["trial_end"])
        return min((moment for moment in moments if moment), default=None)

    def note(self, subscription: StripeObject) -> None:
        """Remember the next change of a subscription."""
        due = self.due_at(subscription)
        if due is not None:
            heapq.heappush(self._entries, (due, subscription["id"]))

    def pop_due(self, now: int) -> str | None:
        """The id of a subscription whose time may have come, earliest first."""
        if self._entries and self._entries[0][0] <= now:
            return heapq.heappop(self._entries)[1]
        return None
