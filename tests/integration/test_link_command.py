"""`portal link`, as the person at the terminal has it: what it prints, what it mails, and to whom."""

import re
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import jwt
import pytest
import stripe
from typer.testing import CliRunner, Result

from cli.deployment import Deployment
from cli.main import app
from local.site.mails import OutboxMail, read_outbox
from shared.errors import InvalidRequest, OperatorError
from tests.integration.conftest import LINK_SECRET, SENDER, Aws
from tests.integration.simulator_fixtures import RunningSimulator

Run = Callable[..., Result]


@pytest.fixture
def client(simulator: RunningSimulator) -> stripe.StripeClient:
    return simulator.client()


@pytest.fixture
def ada(client: stripe.StripeClient) -> str:
    return client.v1.customers.create({"email": "ada@example.com", "preferred_locales": ["fr-CA", "en"]}).id


@pytest.fixture
def run(aws: Aws, simulator: RunningSimulator, monkeypatch: pytest.MonkeyPatch) -> Run:
    deployment = Deployment(aws.template.outputs(), stripe_api_base=simulator.url)
    monkeypatch.setattr(Deployment, "of_stack", lambda _: deployment)

    def command(*arguments: str) -> Result:
        return CliRunner().invoke(app, ["link", *arguments])

    return command


@pytest.fixture
def outbox(aws: Aws) -> Callable[[], list[OutboxMail]]:
    return lambda: read_outbox(aws.url)


def claims_in(text: str) -> dict[str, Any]:
    found = re.search(r"token=([\w.-]+)", text)
    assert found
    claims: dict[str, Any] = jwt.decode(found[1], LINK_SECRET, ["HS256"], audience="portal")
    return claims


def test_it_prints_a_link_that_says_no_more_than_was_asked(run: Run, ada: str) -> None:
    claims = claims_in(run(ada).stdout)
    assert claims.keys() == {"sub", "aud", "iat", "exp"}
    assert claims["exp"] - claims["iat"] == 900


def test_every_option_is_a_claim(run: Run, ada: str) -> None:
    confirm = ["--flow", "subscription_update_confirm", "--subscription", "sub_1", "--item", "si_1", "--price", "p"]
    done = ["--after-completion", "hosted_confirmation", "--custom-message", "Merci"]
    more = ["--quantity", "3", "--coupon", "HALF", "--group", "vip", "--locale", "fr", "--no-checkout"]
    claims = claims_in(run(ada, *confirm, *done, *more, "--expires", "2h").stdout)
    assert claims["exp"] - claims["iat"] == 7200
    assert {name: claims[name] for name in claims.keys() - {"aud", "iat", "exp"}} == {
        "sub": ada,
        "flow": "subscription_update_confirm",
        "subscription": "sub_1",
        "item": "si_1",
        "price": "p",
        "quantity": 3,
        "coupon": "HALF",
        "group": "vip",
        "locale": "fr",
        "checkout": False,
        "after_completion": "hosted_confirmation",
        "custom_message": "Merci",
    }


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["sub_1"], "bad_link"),
        (["cus_1", "--coupon", "HALF"], "bad_link"),
        (["cus_1", "--flow", "subscription_cancel"], "subscription_required"),
        (["cus_1", "--flow", "subscription_update_confirm", "--subscription", "sub_1"], "change_required"),
        (["cus_nope"], "no_such_customer"),
    ],
)
def test_what_does_not_go_together_is_refused(run: Run, arguments: list[str], code: str) -> None:
    error = run(*arguments).exception
    assert isinstance(error, InvalidRequest)
    assert error.code == code
    assert "Value error" not in error.message


def test_a_link_lives_for_seven_days_at_most(run: Run, ada: str) -> None:
    error = run(ada, "--expires", "8d").exception
    assert isinstance(error, InvalidRequest)
    assert error.code == "bad_expiry"


def test_a_deleted_customer_gets_no_link(run: Run, ada: str, client: stripe.StripeClient) -> None:
    client.v1.customers.delete(ada)
    error = run(ada).exception
    assert isinstance(error, InvalidRequest)
    assert error.code == "no_such_customer"


def test_whoever_cannot_ask_stripe_can_still_mint_a_link(run: Run, simulator: RunningSimulator) -> None:
    simulator.admin("POST", "faults", {"fail": [{"status": 500, "times": 9, "path": "/v1/customers"}]})
    assert claims_in(run("cus_nope").stdout)["sub"] == "cus_nope"


def test_a_group_that_is_not_deployed_is_refused_before_a_customer_follows_the_link(
    run: Run, ada: str, monkeypatch: pytest.MonkeyPatch, outbox: Callable[[], list[OutboxMail]]
) -> None:
    assert claims_in(run(ada, "--group", "anything").stdout)["group"] == "anything"
    monkeypatch.setattr(Deployment, "portal_configurations", {"vip": "bpc_1"})
    assert claims_in(run(ada, "--group", "vip").stdout)["group"] == "vip"
    error = run(ada, "--group", "vpi", "--email").exception
    assert isinstance(error, OperatorError)
    assert (error.code, "['vip']" in error.message, outbox()) == ("unknown_group", True, [])


def test_what_is_refused_says_what_is_wanted(run: Run) -> None:
    assert str(run("bob").exception) == "'bob' is not a Stripe customer id: write one like cus_123"
    assert str(run("cus_1", "--coupon", "HALF").exception) == (
        "These options cannot be used: `coupon` is for the flows subscription_cancel and subscription_update_confirm"
    )


def test_it_mails_the_link_in_the_customers_language(
    run: Run, ada: str, outbox: Callable[[], list[OutboxMail]]
) -> None:
    answer = run(ada, "--email", "--flow", "payment_method_update")
    assert answer.stdout.startswith("Sent to ada@example.com. The link works until ")
    assert "token" not in answer.stdout
    (mail,) = outbox()
    assert (mail.sender, mail.recipients) == (SENDER, "ada@example.com")
    assert "Changer mon moyen de paiement" in mail.html
    claims = claims_in(mail.text)
    assert (claims["sub"], claims["flow"]) == (ada, "payment_method_update")
    assert claims["exp"] - claims["iat"] == 86_400
    assert "billing.stripe.com" not in mail.text
    assert "/p/session/" not in mail.html


def test_the_mail_speaks_the_language_of_the_page_that_it_links_to(
    run: Run, client: stripe.StripeClient, outbox: Callable[[], list[OutboxMail]]
) -> None:
    german = client.v1.customers.create({"email": "eva@example.com", "preferred_locales": ["de"]}).id
    assert "Sent to eva@example.com" in run(german, "--email", "--locale", "fr-CA").stdout
    (mail,) = outbox()
    assert "Votre lien pour gérer votre abonnement" in mail.subject


def test_the_output_speaks_the_language_that_is_asked_for(run: Run, ada: str) -> None:
    assert "Envoyé à ada@example.com" in run(ada, "--email", "--language", "fr").stdout


def test_the_language_can_be_chosen_and_is_english_otherwise(
    run: Run, client: stripe.StripeClient, ada: str, outbox: Callable[[], list[OutboxMail]]
) -> None:
    german = client.v1.customers.create({"email": "eva@example.com", "preferred_locales": ["de"]}).id
    run(ada, "--email", "--language", "en")
    run(german, "--email")
    run(german, "--email", "--language", "fr")
    subjects = ["Your link" in mail.subject for mail in outbox()]
    assert subjects == [True, True, False]


@pytest.mark.parametrize("arguments", [["--email", "eve@example.com"], ["--email=eve@example.com"]])
def test_no_address_can_be_named(
    run: Run, ada: str, arguments: list[str], outbox: Callable[[], list[OutboxMail]]
) -> None:
    assert run(ada, *arguments).exit_code == 2
    assert outbox() == []


@pytest.mark.parametrize(
    "address",
    [
        *(
            "",
            "ada",
            "ada@example.com, eve@example.com",
            "Ada <ada@example.com>",
            "ada@example.com\nBcc: eve@example.com",
        ),
        # What steers a terminal, turns the writing direction, or ends a line only for some programs.
        *("ada\x1b[2J@example.com", "ada\x00@example.com", "ada\u202e@example.com", "ada\u2028@example.com"),
        *("ada@example.com\x9b1m", "\ufeffada@example.com"),
    ],
)
def test_what_is_not_one_plain_address_gets_no_mail(
    run: Run, ada: str, address: str, outbox: Callable[[], list[OutboxMail]], monkeypatch: pytest.MonkeyPatch
) -> None:
    # The simulator refuses such addresses; that no customer of Stripe has one is not documented.
    monkeypatch.setattr(stripe.CustomerService, "retrieve", lambda *_: SimpleNamespace(email=address))
    error = run(ada, "--email").exception
    assert isinstance(error, InvalidRequest)
    assert error.code == "no_email"
    assert outbox() == []


def test_customers_whom_stripe_does_not_have_get_no_mail(run: Run, client: stripe.StripeClient, ada: str) -> None:
    error = run("cus_nobody", "--email").exception
    assert isinstance(error, InvalidRequest)
    assert error.code == "no_such_customer"
    client.v1.customers.delete(ada)
    error = run(ada, "--email").exception
    assert isinstance(error, InvalidRequest)
    assert error.code == "no_email"


def test_a_sender_that_ses_does_not_know_is_the_operators_to_mend(
    run: Run, aws: Aws, ada: str, outbox: Callable[[], list[OutboxMail]]
) -> None:
    aws.clients.sesv2.delete_email_identity(EmailIdentity=SENDER)
    error = run(ada, "--email").exception
    assert isinstance(error, OperatorError)
    assert (error.code, "PortalEmailFrom" in error.message) == ("mail_refused", True)
    assert "ada@example.com" not in error.message
    assert outbox() == []


def test_the_mailed_link_is_not_longer_lived_than_it_says(
    run: Run, ada: str, outbox: Callable[[], list[OutboxMail]]
) -> None:
    run(ada, "--email", "--language", "en", "--expires", "7d")
    (mail,) = outbox()
    expires = time.gmtime(claims_in(mail.text)["exp"])
    assert f"{expires.tm_mday} {time.strftime('%B %Y, %H:%M', expires)} UTC" in mail.text


@pytest.mark.parametrize(
    "wrong", ["https://evil.example/", "https://shop.example@evil.example/", "//shop.example", "x"]
)
def test_an_address_to_come_back_to_that_is_not_allowed_is_refused_before_anybody_gets_the_link(
    run: Run, ada: str, monkeypatch: pytest.MonkeyPatch, outbox: Callable[[], list[OutboxMail]], wrong: str
) -> None:
    monkeypatch.setattr(Deployment, "allowed_return_origins", ("https://shop.example",))
    assert "return_url=https%3A%2F%2Fshop.example%2Fb" in run(ada, "--return-url", "https://shop.example/b").stdout
    error = run(ada, "--return-url", wrong, "--email").exception
    assert isinstance(error, InvalidRequest)
    assert (error.code, "https://shop.example" in error.message, outbox()) == ("bad_return_url", True, [])


def test_the_deployment_tells_which_origins_are_allowed() -> None:
    told = Deployment({}, parameters={"AllowedReturnOrigins": "https://Shop.example, http://127.0.0.1:8787"})
    assert told.allowed_return_origins == ("https://shop.example", "http://127.0.0.1:8787")
    assert Deployment({}).allowed_return_origins == ()
