"""`GET /access` and its relatives: who is answered, from what, at which cost, and whom Stripe is asked about."""

import json
import threading
import time
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

import jwt
import pytest

from functions.access import app as access_app
from functions.access.lookups import CLAIM_SECONDS, REMEMBERED_SECONDS, Lookups
from shared.errors import Unavailable
from shared.mirror.items import Write
from shared.mirror.table import MirrorTable
from shared.stripe.subscription import Subscription, SubscriptionItem
from tests.integration.conftest import LINK_SECRET, Api, Aws
from tests.integration.portal_world import World
from tests.integration.simulator_fixtures import RunningSimulator
from tests.integration.test_strangers import aws_calls

SECRETS_READ = {"GetSecretValue"}


class Access:
    """The access function, and the deployment around it."""

    def __init__(self, api: Api, aws: Aws, simulator: RunningSimulator) -> None:
        self.api = api
        self.aws = aws
        self.simulator = simulator
        self.table = MirrorTable(aws.clients.dynamodb, aws.template.ref("Subscriptions"))

    def token(self, customer: str | None = "cus_1", **claims: Any) -> str:
        good: dict[str, Any] = {"aud": "access", "exp": int(time.time()) + 600}
        if customer:
            good["sub"] = customer
        return jwt.encode(good | claims, LINK_SECRET, algorithm="HS256")

    def get(
        self, token: str | None = None, *, path: str = "", headers: dict[str, str] | None = None, **query: str
    ) -> Any:
        return self.api.send(
            "GET /access" if not path else "GET /access/{customer}",
            path=f"/access{path}",
            query=urlencode(query),
            headers={"authorization": f"Bearer {token or self.token()}"} | (headers or {}),
        )

    def batch(self, token: str, **body: Any) -> Any:
        headers = {"authorization": f"Bearer {token}"}
        return self.api.send("POST /access", body=json.dumps(body).encode(), headers=headers)

    def mirror(self, customer: str = "cus_1", status: str = "active", **fields: Any) -> None:
        """Write a subscription to prod_1 into the mirror."""
        items = (SubscriptionItem("si_1", product_id="prod_1", quantity=1),)
        one = Subscription(f"sub_{customer}", customer, status, livemode=False, items=items)
        account = fields.pop("account", None)
        self.table.put_if_older(
            Write(replace(one, **fields), int(time.time()) - 60, None, account=account), than=10**10
        )

    def stripe_requests(self) -> int:
        return sum(self.simulator.admin("GET", "requests").values())


@pytest.fixture
def access(api: Api, aws: Aws, simulator: RunningSimulator) -> Access:
    return Access(api, aws, simulator)


def said(answer: Any) -> tuple[int, Any, Any]:
    body = json.loads(answer.body)
    return answer.status, body["granted"], body["reason"]


def code(answer: Any) -> tuple[int, str]:
    return answer.status, json.loads(answer.body)["code"]


def header(answer: Any, name: str) -> str | None:
    return next((value for key, value in answer.headers if key.lower() == name), None)


# ------------------------------------------------------------------ from the mirror


def test_a_known_customer_costs_one_query_and_no_request_to_stripe(
    access: Access, monkeypatch: pytest.MonkeyPatch
) -> None:
    access.mirror()
    before = access.stripe_requests()
    access.get()
    with aws_calls(monkeypatch) as calls:
        answer = access.get()
    assert said(answer) == (200, True, "active")
    assert dict(calls) == {"Query": 1}
    assert access.stripe_requests() == before
    assert json.loads(answer.body) == {
        "customer_id": "cus_1",
        "granted": True,
        "reason": "active",
        "until": None,
        "subscriptions": [
            {
                "subscription_id": "sub_cus_1",
                "granted": True,
                "reason": "active",
                "until": None,
                "products": {"prod_1": 1},
            }
        ],
    }


def test_an_answer_is_sent_again_only_when_it_has_changed(access: Access) -> None:
    access.mirror()
    first = access.get()
    tag = header(first, "etag")
    assert tag
    for named in (tag, f"W/{tag}", f'"other", {tag}', "*"):
        again = access.get(headers={"if-none-match": named})
        assert (again.status, again.body, header(again, "etag")) == (304, b"", tag)
        assert header(again, "cache-control") == "private, max-age=30"
    access.mirror(status="paused")
    changed = access.get(headers={"if-none-match": tag})
    assert said(changed) == (200, False, "paused")
    assert header(changed, "etag") != tag


def test_no_cache_keeps_an_answer_beyond_its_end(access: Access) -> None:
    access.mirror(cancel_at=int(time.time()) + 9)
    kept = header(access.get(), "cache-control") or ""
    assert kept.startswith("private, max-age=")
    assert 7 <= int(kept.partition("=")[2]) <= 9
    access.mirror("cus_2", status="paused")
    assert header(access.get(access.token("cus_2")), "cache-control") == "private, max-age=5"
    assert header(access.get(), "vary") == "Authorization"


def test_one_product_and_an_unknown_one(access: Access) -> None:
    access.mirror()
    assert said(access.get(product="prod_1")) == (200, True, "active")
    assert said(access.get(product="prod_unknown")) == (200, False, "product_not_subscribed")
    assert said(access.get(product="prod_1,prod_unknown")) == (200, False, "product_not_subscribed")


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ({"now": "1"}, "now"),
        ({"product": "é"}, "product"),
        ({"customer": "x"}, "customer"),
    ],
)
def test_a_wrong_question_is_refused(access: Access, query: dict[str, str], named: str) -> None:
    access.mirror()
    headers = {"authorization": f"Bearer {access.token()}"}
    answer = access.api.send("GET /access", query=urlencode(query), headers=headers)
    assert code(answer) == (400, "bad_request")
    assert named in json.loads(answer.body)["detail"]


# ------------------------------------------------------------------ who may ask


def test_only_a_genuine_access_token_of_that_customer_opens_the_answer(access: Access) -> None:
    access.mirror()
    access.mirror("cus_2")
    forged = jwt.encode({"aud": "access", "sub": "cus_1", "exp": int(time.time()) + 60}, "f" * 64, algorithm="HS256")
    unsigned = jwt.encode({"aud": "access", "sub": "cus_1", "exp": int(time.time()) + 60}, "", algorithm="none")
    for token in (forged, unsigned, "x", access.token(aud="portal"), access.token(aud="access-batch")):
        assert code(access.get(token)) == (401, "bad_token")
    assert code(access.get(access.token(exp=int(time.time()) - 1))) == (401, "expired_token")
    assert code(access.get(access.token(exp=int(time.time()) + 8 * 86_400))) == (401, "bad_token")
    assert code(access.get(access.token(None))) == (401, "bad_token")
    assert code(access.api.send("GET /access")) == (401, "no_token")
    assert code(access.get(path="/cus_2")) == (403, "not_your_customer")
    assert code(access.get(customer="cus_2")) == (403, "not_your_customer")
    assert said(access.get(path="/cus_1")) == (200, True, "active")


def test_an_access_token_opens_no_portal(access: Access, world: World) -> None:
    token = access.token(world.customer)
    assert world.follow(token=token).status == 401
    assert world.post(token).status == 401
    assert world.sessions() == []


@pytest.fixture
def world(api: Api, simulator: RunningSimulator) -> World:
    return World(api, simulator)


def test_a_signed_in_user_is_answered_about_an_own_customer(access: Access) -> None:
    access.mirror()
    access.mirror("cus_2", status="paused")

    def ask(claim: str, **query: str) -> Any:
        return access.api.send("GET /access", query=urlencode(query), claims={"stripe_customer_id": claim})

    assert said(ask("cus_1")) == (200, True, "active")
    assert said(ask("[cus_1 cus_2]", customer="cus_2")) == (200, False, "paused")
    assert code(ask("[cus_1 cus_2]")) == (400, "customer_required")
    assert code(ask("cus_1", customer="cus_2")) == (403, "not_your_customer")
    assert code(ask("")) == (403, "no_customer")


def test_a_user_is_found_by_the_verified_address_once_and_no_customer_is_made(
    access: Access, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALLOW_VERIFIED_EMAIL", "true")
    access_app._wire.cache_clear()
    access.mirror(world.customer)
    user = {"iss": "https://id.example", "sub": "ada", "email": "ada@example.com", "email_verified": "true"}
    assert said(access.api.send("GET /access", claims=user)) == (200, True, "active")
    before = access.stripe_requests()
    assert said(access.api.send("GET /access", claims=user)) == (200, True, "active")
    assert access.stripe_requests() == before
    nobody = user | {"sub": "bob", "email": "bob@example.com"}
    for _ in range(3):
        assert code(access.api.send("GET /access", claims=nobody)) == (403, "no_customer")
    requests = access.simulator.admin("GET", "requests")
    assert (requests["GET /v1/customers"], requests["POST /v1/customers"]) == (2, 2), "the world made two"


def test_an_item_of_another_account_gives_nothing(access: Access, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STRIPE_ACCOUNT_ID", "acct_1")
    access_app._wire.cache_clear()
    access.mirror(account="acct_2")
    assert said(access.get()) == (200, False, "no_subscription")


def test_a_customer_of_another_account_is_nobody_here_in_any_way_of_asking(
    access: Access, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The mirror has an item of the other account, and this account's Stripe does not know the customer."""
    monkeypatch.setenv("STRIPE_ACCOUNT_ID", "acct_1")
    access_app._wire.cache_clear()
    access.mirror("cus_other", account="acct_2")
    token = access.token("cus_other")
    assert said(access.get(token)) == (200, False, "no_subscription")
    assert said(access.get(token, path="/cus_other")) == (200, False, "no_subscription")
    assert said(access.get(token, product="prod_1")) == (200, False, "no_subscription")
    answer = json.loads(access.batch(access.token(None, aud="access-batch"), customers=["cus_other"]).body)
    assert [one["granted"] for one in answer["customers"]] == [False]


def test_an_item_that_an_earlier_version_wrote_is_answered(access: Access) -> None:
    item: Any = {
        "customer_id": {"S": "cus_1"},
        "subscription_id": {"S": "sub_1"},
        "status": {"S": "active"},
        "livemode": {"BOOL": False},
        "as_of": {"N": "1700000000"},
        "revision": {"N": "1"},
        "unknown_since": {"N": "1"},
    }
    access.aws.clients.dynamodb.put_item(TableName=access.aws.template.ref("Subscriptions"), Item=item)
    assert said(access.get()) == (200, True, "active")


# ------------------------------------------------------------------ whom the mirror does not know


def test_who_has_just_paid_is_looked_up_at_stripe_before_being_refused(access: Access, world: World) -> None:
    """Once: the mirror knows the customer afterwards."""
    before = access.stripe_requests()
    token = access.token(world.customer)
    assert said(access.get(token)) == (200, True, "active")
    assert access.stripe_requests() == before + 1
    assert [one.subscription.id for one in access.table.of_customer(world.customer)] == [world.subscription]
    assert said(access.get(token)) == (200, True, "active")
    assert access.stripe_requests() == before + 1


def test_all_pages_of_a_customers_subscriptions_are_looked_up(
    access: Access, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The product that is asked about may be that of the oldest subscription."""
    monkeypatch.setattr("functions.access.answers.PAGE", 1)
    items: Any = [{"price": world.price.id}]
    made = {world.stripe.v1.subscriptions.create({"customer": world.customer, "items": items}).id for _ in range(2)}
    assert said(access.get(access.token(world.customer))) == (200, True, "active")
    found = {one.subscription.id for one in access.table.of_customer(world.customer)}
    assert found == {world.subscription, *made}


def test_near_the_deadline_the_newest_subscriptions_decide(
    access: Access, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("functions.access.answers.PAGE", 1)
    monkeypatch.setattr("functions.access.answers._PAGE_SECONDS", 60)
    items: Any = [{"price": world.price.id}]
    newest = world.stripe.v1.subscriptions.create({"customer": world.customer, "items": items}).id
    assert said(access.get(access.token(world.customer))) == (200, True, "active")
    assert [one.subscription.id for one in access.table.of_customer(world.customer)] == [newest]


def test_a_former_customer_who_has_paid_again_is_looked_up_too(access: Access, world: World) -> None:
    access.mirror(world.customer, status="canceled", ended_at=int(time.time()) - 60)
    assert said(access.get(access.token(world.customer))) == (200, True, "active")


def test_who_is_unknown_to_stripe_too_is_refused_and_asked_about_once(access: Access, world: World) -> None:
    empty = world.stripe.v1.customers.create({"email": "eve@example.com"}).id
    for customer in (empty, "cus_nobody"):
        before = access.stripe_requests()
        for _ in range(5):
            assert said(access.get(access.token(customer))) == (200, False, "no_subscription")
        assert access.stripe_requests() == before + 1


def test_unknown_customers_beyond_the_limit_are_neither_looked_up_nor_refused(
    access: Access, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ACCESS_LOOKUPS_PER_MINUTE", "3")
    access_app._wire.cache_clear()
    now = time.time() // 60 * 60 + 20
    answerer = replace(access_app._wire(), clock=lambda: now)
    monkeypatch.setattr(access_app, "_wire", lambda: answerer)
    before = access.stripe_requests()
    answers = [access.get(access.token(f"cus_{number}", exp=int(now) + 60)) for number in range(10)]
    assert [answer.status for answer in answers] == [200] * 3 + [503] * 7
    assert code(answers[-1]) == (503, "access_lookups_used_up")
    assert header(answers[-1], "retry-after") == "40"
    assert access.stripe_requests() == before + 3


def test_while_stripe_is_down_nobody_is_refused_for_it(access: Access, world: World) -> None:
    access.simulator.admin("POST", "faults", {"fail": [{"status": 500, "times": 99}]})
    token = access.token(world.customer)
    assert code(access.get(token)) == (503, "stripe_unavailable")
    answer = access.get(token)
    assert code(answer) == (503, "access_lookup_busy")
    assert header(answer, "cache-control") == "no-store"


def test_of_many_at_once_one_asks_stripe(access: Access, world: World) -> None:
    before = access.stripe_requests()
    answers: list[Any] = []
    answerer = access_app._wire()
    token = f"Bearer {access.token(world.customer)}"

    def ask() -> None:
        try:
            answers.append(answerer.of_customer(None, token, {}).access.granted)
        except Unavailable as error:
            answers.append(error.code)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(answers) <= {True, "access_lookup_busy"}
    assert answers.count(True) >= 1
    assert access.stripe_requests() == before + 1


@pytest.fixture
def lookups(aws: Aws) -> Lookups:
    return Lookups(aws.clients.dynamodb, aws.template.ref("AccessLookups"), per_minute=100)


def answers(*found: str | None) -> Any:
    waiting = iter(found)
    return lambda: next(waiting)


def test_a_lookup_that_failed_is_tried_again_soon_and_one_that_found_nobody_later(lookups: Lookups) -> None:
    def fail() -> str | None:
        raise Unavailable("stripe_unavailable", "down")

    now = 1_000_000.0
    with pytest.raises(Unavailable, match="down"):
        lookups.once("customer#cus_1", fail, now=now)
    with pytest.raises(Unavailable, match="being looked up"):
        lookups.once("customer#cus_1", answers(), now=now + CLAIM_SECONDS - 1)
    ask = answers(None, "cus_1")
    now += CLAIM_SECONDS
    assert lookups.once("customer#cus_1", ask, now=now).asked
    remembered = lookups.once("customer#cus_1", ask, now=now + REMEMBERED_SECONDS - 1)
    assert (remembered.asked, remembered.found) == (False, None)
    assert lookups.once("customer#cus_1", ask, now=now + REMEMBERED_SECONDS).found == "cus_1"


def test_a_clock_that_was_ahead_locks_nobody_out(lookups: Lookups) -> None:
    lookups.once("customer#cus_1", answers(None), now=2_000_000.0)
    assert lookups.once("customer#cus_1", answers(None), now=1_000_000.0).asked


def test_a_table_that_does_not_answer_is_no_refusal(access: Access) -> None:
    access.aws.clients.dynamodb.delete_table(TableName=access.aws.template.ref("AccessLookups"))
    assert code(access.get()) == (503, "lookups_unavailable")
    access.aws.clients.dynamodb.delete_table(TableName=access.aws.template.ref("Subscriptions"))
    assert code(access.get()) == (503, "mirror_unavailable")


# ------------------------------------------------------------------ servers


def test_a_server_asks_about_many_customers_at_once(access: Access) -> None:
    access.mirror("cus_1")
    access.mirror("cus_2", status="paused")
    before = access.stripe_requests()
    server = access.token(None, aud="access-batch")
    answer = access.batch(server, customers=["cus_2", "cus_nobody", "cus_1"])
    found = json.loads(answer.body)["customers"]
    assert [(one["customer_id"], one["granted"], one["reason"]) for one in found] == [
        ("cus_2", False, "paused"),
        ("cus_nobody", False, "no_subscription"),
        ("cus_1", True, "active"),
    ]
    assert access.stripe_requests() == before
    assert header(answer, "cache-control") == "no-store"


@pytest.mark.parametrize("policy", ["grant", "deny"])
def test_a_feature_is_neither_granted_nor_denied_while_entitlements_are_off(
    access: Access, monkeypatch: pytest.MonkeyPatch, policy: str
) -> None:
    monkeypatch.setenv("ACCESS_IF_UNKNOWN", policy)
    access.mirror()
    for answer in (
        access.get(feature="exports"),
        access.batch(access.token(None, aud="access-batch"), customers=["cus_1"], feature="exports"),
    ):
        assert code(answer) == (400, "entitlements_off")
        assert "granted" not in json.loads(answer.body)
        assert "Entitlements" in json.loads(answer.body)["detail"]


def test_a_batch_is_for_servers_and_has_a_limit(access: Access) -> None:
    for token in (access.token(), access.token(aud="portal"), "x"):
        assert code(access.batch(token, customers=["cus_1"])) == (401, "bad_token")
    server = access.token(None, aud="access-batch")
    for wrong in ([], ["cus_1"] * 101, ["sub_1"], "cus_1", None):
        assert code(access.batch(server, customers=wrong)) == (400, "bad_request")
    assert access.batch(server, customers=[f"cus_{number}" for number in range(100)]).status == 200
