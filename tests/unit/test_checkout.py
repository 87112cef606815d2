"""One Checkout session for one customer, also when Stripe fails or another request is quicker."""

from types import SimpleNamespace
from typing import Any

import pytest
import stripe

from functions.create_session.checkout import MARK, checkout_url
from shared.errors import Unavailable

PARAMS: Any = {"mode": "subscription", "customer": "cus_1", "success_url": "https://shop.example/"}


class Sessions:
    """Stripe's sessions of one customer, with failures to come; remembers the keys."""

    def __init__(self, *failures: Exception, appears: Any = None) -> None:
        self.failures = list(failures)
        self.appears = appears
        self.made: list[Any] = []
        self.keys: list[str] = []
        self.is_paid_meanwhile = False

    def list(self, _: Any) -> Any:
        return SimpleNamespace(auto_paging_iter=lambda: iter(self.made[::-1]))

    def create(self, params: Any, options: Any) -> Any:
        self.keys.append(options["idempotency_key"])
        if self.failures:
            if self.appears:
                self.made.append(self.appears)
            raise self.failures.pop(0)
        name = f"cs_{len(self.made)}"
        session = SimpleNamespace(
            id=name, status="open", url=f"https://pay/{name}", metadata=params["metadata"], created=len(self.made)
        )
        self.made.append(session)
        return session

    def expire(self, session_id: str) -> None:
        (session,) = (each for each in self.made if each.id == session_id)
        if self.is_paid_meanwhile:
            raise stripe.InvalidRequestError("Only open ones can be expired.", None)  # type: ignore[no-untyped-call]
        session.status, session.url = "expired", None


def client(sessions: Sessions) -> Any:
    return SimpleNamespace(v1=SimpleNamespace(checkout=SimpleNamespace(sessions=sessions)))


def replayed() -> stripe.APIError:
    return stripe.APIError("Oops", http_status=500, headers={"Idempotent-Replayed": "true"})


def test_a_stored_failure_does_not_keep_the_customer_out_for_a_day() -> None:
    sessions = Sessions(replayed(), replayed())
    assert checkout_url(client(sessions), PARAMS) == "https://pay/cs_0"
    assert len(set(sessions.keys)) == 3


def test_a_fresh_failure_is_not_tried_under_another_key() -> None:
    sessions = Sessions(stripe.APIError("Oops", http_status=500))
    with pytest.raises(Unavailable) as caught:
        checkout_url(client(sessions), PARAMS)
    assert (caught.value.code, len(sessions.keys)) == ("stripe_unavailable", 1)


def test_when_every_key_has_failed_it_is_for_later() -> None:
    with pytest.raises(Unavailable) as caught:
        checkout_url(client(Sessions(replayed(), replayed(), replayed())), PARAMS)
    assert caught.value.code == "checkout_contended"


def test_who_comes_second_gets_the_session_of_the_first() -> None:
    first = SimpleNamespace(id="cs_first", status="open", url="https://pay/first", metadata={MARK: "other"})
    sessions = Sessions(stripe.IdempotencyError("Keys for idempotent requests"), appears=first)
    assert checkout_url(client(sessions), PARAMS) == "https://pay/first"


def test_a_session_that_was_paid_meanwhile_is_not_ended_and_nothing_new_is_made() -> None:
    sessions = Sessions()
    checkout_url(client(sessions), PARAMS)
    sessions.is_paid_meanwhile = True
    with pytest.raises(Unavailable) as caught:
        checkout_url(client(sessions), PARAMS | {"success_url": "https://shop.example/other"})
    assert (caught.value.code, len(sessions.made)) == ("checkout_contended", 1)


def test_the_same_state_gives_the_same_key_and_another_state_another() -> None:
    sessions, twin = Sessions(), Sessions()
    checkout_url(client(sessions), PARAMS)
    checkout_url(client(twin), PARAMS | {"locale": "fr"})
    assert sessions.keys == twin.keys
    assert checkout_url(client(sessions), PARAMS | {"locale": "de"}) == "https://pay/cs_0"
    sessions.made[0].status = "complete"
    checkout_url(client(sessions), PARAMS)
    assert len(set(sessions.keys)) == 2


def test_behind_sessions_of_the_sites_own_ours_is_found_and_beyond_the_limit_it_is_not_looked_for() -> None:
    sessions = Sessions()
    checkout_url(client(sessions), PARAMS)
    own = SimpleNamespace(id="cs_site", status="open", url="https://pay/site", metadata={}, created=0)
    sessions.made += [own] * 499
    assert checkout_url(client(sessions), PARAMS) == "https://pay/cs_0"
    read = iter([own] * 501)
    sessions.list = lambda _: SimpleNamespace(auto_paging_iter=lambda: read)  # type: ignore[method-assign]
    assert checkout_url(client(sessions), PARAMS) != "https://pay/cs_0"
    assert len(list(read)) == 1


def test_what_is_a_day_older_than_the_last_of_ours_cannot_be_open_and_is_not_read() -> None:
    made = [
        SimpleNamespace(
            id=f"cs_{created}", status="open", url=f"https://pay/{created}", metadata={MARK: "x"}, created=created
        )
        for created in (200_000, 200_000 - 86_400, 200_000 - 86_401, 1)
    ]
    read, sessions = iter(made), Sessions()
    sessions.made = made[::-1]
    sessions.list = lambda _: SimpleNamespace(auto_paging_iter=lambda: read)  # type: ignore[method-assign]
    checkout_url(client(sessions), PARAMS)
    assert [each.id for each in made if each.status == "expired"] == ["cs_200000", "cs_113600"]
    assert [each.id for each in read] == ["cs_1"]
