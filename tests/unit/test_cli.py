"""What the terminal shows, without a deployment."""

import io
import json
import os
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
import requests
import stripe
from botocore.exceptions import ClientError, NoCredentialsError
from rich.console import Console, Group
from rich.table import Table
from typer.testing import CliRunner

from cli import audit, explain, show
from cli.deployment import KEY_VARIABLE, Deployment
from cli.main import app, main
from cli.recover.commands import summary_parts
from cli.setup import doctor
from cli.setup.check import failed
from cli.setup.doctor import CHECKS
from cli.terminal import duration
from shared.audit.findings import CustomerName, Finding, Severity
from shared.audit.report import Report, ReportView
from shared.errors import InvalidRequest, OperatorError, Unavailable
from shared.i18n import _, verbatim
from shared.mirror.drift import ComparisonResult, Difference, Drift, DriftKind, Failure
from shared.mirror.items import Beginnings, MirroredSubscription
from shared.portal.explain import ExplainedSubscription, Explanation
from shared.stripe.money import MissedAmount, MonthlyAmount
from shared.stripe.subscription import PauseCollection
from tests.audit_findings import finding
from tests.fakes import audit_report, subscription
from tests.unit.test_portal_rules import facts as facts_of
from tests.unit.test_portal_rules import plain

HELD = MirroredSubscription(
    subscription(pause_collection=PauseCollection("void", 1_800_000_000)),
    1_790_000_000,
    3,
    "evt_1",
    Beginnings(1_700_000_000),
)


def terminal_of(report: Report, language: str = "en") -> Group:
    return audit.report_as_text(ReportView(report, language))


def printed(renderable: object) -> str:
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(renderable)
    return console.export_text()


@pytest.mark.parametrize(
    ("text", "seconds"), [("15m", 900), ("2h", 7200), ("7d", 604_800), ("30s", 30), (" 1h ", 3600), ("0m", 0)]
)
def test_spans_of_time_are_read(text: str, seconds: int) -> None:
    assert duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["", "15", "m", "1.5h", "-5m", "5 m", "\u0661h", "9999999d", "1w"])
def test_what_is_no_span_of_time_is_told_what_to_write(text: str) -> None:
    with pytest.raises(InvalidRequest, match="write 15m"):
        duration(text)


def test_the_mirror_is_shown_to_people() -> None:
    text = printed(show.mirror_as_text([HELD]))
    assert "sub_1" in text
    assert "paused: void" in text
    assert "2027-01-15 08:00:00 UTC" in text
    assert "revision 3" in text


def test_the_mirror_is_shown_to_programs_whole() -> None:
    item = json.loads(json.dumps(show.mirrored_fields(HELD)))
    assert item["subscription_id"] == "sub_1"
    assert item["pause_kind"] == "collection"
    assert item["pause_collection"] == {"behavior": "void", "resumes_at": 1_800_000_000}
    assert (item["as_of"], item["revision"], item["paused_since"]) == (1_790_000_000, 3, 1_700_000_000)


def test_findings_of_one_kind_are_explained_once_and_markup_is_not_obeyed() -> None:
    findings = tuple(
        Finding(
            "old_pause_form", Severity.WARNING, (f"bpc_{n}[red]",), verbatim("It means [bold]this"), verbatim("Do that")
        )
        for n in (1, 2)
    )
    now = datetime(2024, 7, 31, 23, tzinfo=UTC)
    report = replace(audit_report(*findings), as_of=now, subscriptions_read=1)
    text = printed(terminal_of(report))
    assert text.count("It means [bold]this") == 1
    assert "bpc_1[red]" in text
    assert "bpc_2[red]" in text
    assert "1 August 2024" in text
    assert "1 subscription read" in " ".join(text.split())


def test_the_worst_comes_first() -> None:
    findings = tuple(
        Finding("old_pause_form", each, (), verbatim(f"This is {each}."), verbatim("Do that")) for each in Severity
    )
    text = printed(terminal_of(audit_report(*findings)))
    assert text.index("This is critical.") < text.index("This is warning.") < text.index("This is info.")


def test_the_terminal_shows_a_thousand_pauses_and_counts_the_others() -> None:
    text = printed(terminal_of(audit_report(*(finding(number) for number in range(1003)))))
    assert len(re.findall(r"cus_\d+", text)) == 1000
    assert "and 3 more, not shown here." in text


def test_the_terminal_speaks_of_the_teams_days_as_the_mail_does() -> None:
    assert "paused since 2 March 2024" in " ".join(printed(terminal_of(audit_report(finding()))).split())


def test_the_terminal_says_whether_the_day_a_pause_began_is_exact() -> None:
    seen, inferred = (
        printed(terminal_of(audit_report(finding(paused_since_is_exact=exact)))) for exact in (True, False)
    )
    assert "or earlier" in inferred
    assert "since 2 March 2024" in seen
    assert "or earlier" not in seen


def test_without_a_stack_the_fix_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["portal", "--local", "--local-url", "http://127.0.0.1:1", "show", "cus_1"])
    monkeypatch.setattr(requests, "get", lambda *_, **__: (_ for _ in ()).throw(requests.ConnectionError))
    monkeypatch.setattr(os, "environ", {})
    with pytest.raises(SystemExit) as caught:
        main()
    assert caught.value.code == 4
    assert capsys.readouterr().err == "portal: No stack runs at http://127.0.0.1:1: start it with `make dev`\n"


def test_a_message_cannot_steer_the_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise InvalidRequest("bad_customer", "\x1b[2J\u202e is none\nof ours")

    monkeypatch.setattr("cli.main.app", fail)
    with pytest.raises(SystemExit):
        main()
    assert capsys.readouterr().err == "portal: \\x1b[2J\\u202e is none\nof ours\n"


LOCAL_JSON: dict[str, Any] = {
    "environment": {
        "AWS_ENDPOINT_URL": "http://127.0.0.1:5555",
        "AWS_ACCESS_KEY_ID": "local",
        "AWS_SECRET_ACCESS_KEY": "local",
        "AWS_DEFAULT_REGION": "eu-west-1",
    },
    "stripe_api_base": "http://127.0.0.1:12111",
    "outputs": {"ApiUrl": "http://127.0.0.1:8787", "TableName": "Subscriptions"},
    "parameters": {"AllowedReturnOrigins": "http://127.0.0.1:8787"},
    "clock": 1_700_000_000.5,
}


def local_deployment(monkeypatch: pytest.MonkeyPatch, local_json: object, **environment: str) -> Deployment:
    """What `portal --local` finds where `/local.json` says this, in this environment."""
    response = requests.Response()
    response.status_code, response._content = 200, json.dumps(local_json).encode()
    monkeypatch.setattr(requests, "get", lambda *_, **__: response)
    monkeypatch.setattr(os, "environ", {"HOME": "/home/me", **environment})
    return Deployment.of_this_machine("http://127.0.0.1:8787")


def test_the_local_stack_is_never_asked_with_the_callers_own_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    own = {
        "AWS_PROFILE": "production",
        "AWS_SESSION_TOKEN": "mine",
        "AWS_ENDPOINT_URL_DYNAMODB": "https://dynamodb.eu-west-1.amazonaws.com",
        "AWS_REGION": "us-east-1",
    }
    deployment = local_deployment(monkeypatch, LOCAL_JSON, **own)
    assert deployment.clock == 1_700_000_000.5
    assert {name: value for name, value in os.environ.items() if name.startswith("AWS_")} == {
        **LOCAL_JSON["environment"],
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    }
    client = boto3.Session().client("dynamodb")
    assert client.meta.endpoint_url == "http://127.0.0.1:5555"


class StripeSecretInAws:
    """A Secrets Manager with a deployment's secret, or one that refuses to show it."""

    def __init__(self, key: str | None) -> None:
        self._key = key

    def get_secret_value(self, **_: str) -> dict[str, str]:
        if self._key is None:
            raise ClientError({"Error": {"Code": "AccessDeniedException"}}, "GetSecretValue")
        return {"SecretString": json.dumps({"stripe_api_key": self._key})}


def deployed(monkeypatch: pytest.MonkeyPatch, secret_key: str | None, operators_key: str | None) -> Deployment:
    """A stack, with what Secrets Manager and the environment hold."""
    monkeypatch.setenv(KEY_VARIABLE, operators_key or "")
    stack = {"Stacks": [{"Outputs": [{"OutputKey": "SecretArn", "OutputValue": "arn"}]}]}
    clients: dict[str, Any] = {
        "cloudformation": SimpleNamespace(describe_stacks=lambda **_: stack),
        "secretsmanager": StripeSecretInAws(secret_key),
    }
    monkeypatch.setattr(boto3, "client", lambda name, **_: clients[name])
    return Deployment.of_stack("stripe-portal")


def key_of(client: stripe.StripeClient) -> str | None:
    key: str | None = client._requestor.api_key
    return key


@pytest.mark.parametrize(
    ("secret_key", "operators_key", "used"),
    [
        ("rk_live_deployment", "rk_live_operator", "rk_live_operator"),
        ("rk_live_deployment", None, "rk_live_deployment"),
        # Whoever has a key of their own does not have to be able to read the deployment's.
        (None, "rk_live_operator", "rk_live_operator"),
    ],
)
def test_what_changes_the_account_uses_the_operators_own_key(
    monkeypatch: pytest.MonkeyPatch, secret_key: str | None, operators_key: str | None, used: str
) -> None:
    deployment = deployed(monkeypatch, secret_key, operators_key)
    assert key_of(deployment.operator_stripe) == used
    assert "operator" not in repr(deployment)
    if secret_key:
        assert key_of(deployment.stripe) == secret_key


def test_an_operators_key_of_the_other_mode_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InvalidRequest, match="of test mode") as caught:
        _ = deployed(monkeypatch, "rk_test_deployment", "rk_live_operator").operator_stripe
    assert "operator" not in caught.value.message


def test_what_is_no_key_is_refused_without_being_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InvalidRequest, match="must be a secret or restricted key") as caught:
        deployed(monkeypatch, "rk_test_deployment", "whsec_mistaken")
    assert "mistaken" not in caught.value.message


def test_a_local_stack_never_gets_the_operators_key(monkeypatch: pytest.MonkeyPatch) -> None:
    assert local_deployment(monkeypatch, LOCAL_JSON, **{KEY_VARIABLE: "sk_live_operator"}).operator_key is None


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("environment", LOCAL_JSON["environment"] | {"AWS_ENDPOINT_URL": "https://dynamodb.eu-west-1.amazonaws.com"}),
        ("environment", LOCAL_JSON["environment"] | {"AWS_ENDPOINT_URL": "http://127.0.0.1.evil.example"}),
        ("environment", LOCAL_JSON["environment"] | {"AWS_ENDPOINT_URL": "http://127.0.0.1@evil.example"}),
        ("environment", LOCAL_JSON["environment"] | {"AWS_PROFILE": "production"}),
        ("environment", LOCAL_JSON["environment"] | {"PATH": "/tmp"}),
        ("environment", {}),
        ("stripe_api_base", "https://evil.example"),
        ("stripe_api_base", "evil.example"),
        ("outputs", LOCAL_JSON["outputs"] | {"ApiUrl": "https://evil.example"}),
        ("outputs", LOCAL_JSON["outputs"] | {"DeadLetterQueueUrl": "https://sqs.eu-west-1.amazonaws.com/1/q"}),
    ],
)
def test_what_leads_away_from_this_machine_is_refused(
    monkeypatch: pytest.MonkeyPatch, part: str, value: object
) -> None:
    with pytest.raises(InvalidRequest, match="only name addresses of this machine"):
        local_deployment(monkeypatch, LOCAL_JSON | {part: value})
    assert "AWS_ENDPOINT_URL" not in os.environ


def test_stripe_itself_is_the_one_address_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    found = local_deployment(monkeypatch, LOCAL_JSON | {"stripe_api_base": "https://api.stripe.com"})
    assert found.stripe_api_base == "https://api.stripe.com"


@pytest.mark.parametrize("answer", [{}, [], "text", LOCAL_JSON | {"clock": "soon"}])
def test_another_program_at_the_address_is_named_as_such(monkeypatch: pytest.MonkeyPatch, answer: object) -> None:
    with pytest.raises(Unavailable, match="not a stack that `make dev` started"):
        local_deployment(monkeypatch, answer)


@pytest.mark.parametrize(
    "url",
    ["http://example.com", "https://127.0.0.1:8787", "127.0.0.1:8787", "http://127.0.0.1:99999", "http://[::1", ""],
)
def test_a_wrong_local_url_is_told_what_to_write(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setattr(requests, "get", lambda *_, **__: pytest.fail("it was asked"))
    with pytest.raises(InvalidRequest, match="write --local-url like http://127"):
        Deployment.of_this_machine(url)


def test_without_aws_the_ways_out_are_told(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.argv", ["portal", "show", "cus_1"])
    # A session that an earlier test made would remember that test's region.
    monkeypatch.setattr("boto3.DEFAULT_SESSION", None)
    monkeypatch.delenv("AWS_DEFAULT_REGION", raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nowhere")
    with pytest.raises(SystemExit) as caught:
        main()
    assert caught.value.code == 4
    assert capsys.readouterr().err == (
        "portal: AWS: You must specify a region. Choose account and region with AWS_PROFILE and AWS_REGION and the "
        "stack with --stack, or use `portal --local` for the `make dev` stack\n"
    )


@pytest.mark.parametrize("argument", ["banana", "sub_1", "cus_", "cus_1 ", "cus_é", ""])
def test_show_tells_what_to_write_for_what_is_no_customer(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], argument: str
) -> None:
    monkeypatch.setattr("sys.argv", ["portal", "show", argument])
    with pytest.raises(SystemExit) as caught:
        main()
    assert caught.value.code == 2
    assert capsys.readouterr().err == f"portal: {argument!r} is not a Stripe customer id: write one like cus_123\n"


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (InvalidRequest("not_mirrored", "none"), 1),
        (InvalidRequest("lint_errors", "2 errors"), 1),
        (InvalidRequest("bad_date", "no date"), 2),
        (InvalidRequest("no_stack", "not permitted"), 4),
        (OperatorError("no_write_permission", "not permitted"), 4),
        (Unavailable("not_running", "nothing there"), 4),
        (NoCredentialsError(), 4),
        (ClientError({"Error": {"Code": "AccessDenied"}}, "GetItem"), 4),
    ],
)
def test_every_command_ends_with_the_documented_exit_code(
    monkeypatch: pytest.MonkeyPatch, error: Exception, code: int
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr("sys.argv", ["portal", "show", "cus_1"])
    monkeypatch.setattr(Deployment, "of_stack", fail)
    with pytest.raises(SystemExit) as caught:
        main()
    assert caught.value.code == code


def test_ids_are_whole_on_a_terminal_of_80_columns() -> None:
    subscription_id, customer_id = "sub_1QbCdEfGhIjKlMnOpQrStUvW", "cus_RbCdEfGhIjKlMn"
    amounts = MonthlyAmount({each: Decimal(123_456_789) for each in ("eur", "usd", "jpy", "gbp", "chf")})
    paused = finding(subscription_id=subscription_id, customer_id=customer_id, monthly=amounts)
    lines = printed(terminal_of(audit_report(paused))).splitlines()
    assert any(subscription_id in line for line in lines)
    assert any(customer_id in line for line in lines)


def test_the_terminal_says_what_the_mail_says() -> None:
    facts: dict[str, Any] = {
        "resumes_at": datetime(2026, 12, 1, 12, tzinfo=UTC),
        "monthly": MonthlyAmount({"eur": Decimal(125000)}, (verbatim("a tiered price"),)),
        "missed": MissedAmount({"eur": Decimal(2500000)}, at_least=True),
        "free_since": datetime(2024, 4, 5, tzinfo=UTC),
    }
    zoe = CustomerName("cus_1", "Zoé Martin", "zoe@customers.example")
    long = replace(finding(subscription_id="sub_1QbCdEfGhIjKlMnOpQrStUvW", **facts), customers=(zoe,))
    lines = printed(terminal_of(audit_report(long))).splitlines()
    assert max(map(len, lines)) <= 80
    text = " ".join(" ".join(lines).split())
    rows = [line for line in lines if line.startswith(" ")]
    columns = [" ".join(line[start:end].strip() for line in rows) for start, end in ((0, 34), (34, 53), (53, 80))]
    for words in ("Zoé Martin", "zoe@customers.example", "sub_1QbCdEfGhIjKlMnOpQrStUvW", "cus_1"):
        assert words in columns[0]
    assert "at least 1,250.00 EUR a month (a tiered price)" in columns[1]
    assert "at least 25,000.00 EUR voided so far" in columns[1]
    for words in (
        "paused since 2 March 2024 or earlier",
        "free since 5 April 2024",
        "collects again on 1 December 2026 at 13:00",
    ):
        assert words in columns[2]
    assert "Since the pauses began, at today's prices: at least 25,000.00 EUR voided" in text


def test_the_terminal_names_the_customers_of_every_finding() -> None:
    limits = Finding(
        "portal_limits",
        Severity.INFO,
        ("sub_1", "sub_2"),
        verbatim("Limited."),
        verbatim("Nothing."),
        customers=(CustomerName("cus_1", "Zoé Martin", "zoe@b.example"), CustomerName("cus_2")),
        more=3,
    )
    lines = [line.rstrip() for line in printed(terminal_of(audit_report(limits))).splitlines()]
    assert any(re.fullmatch(r" sub_1 +Zoé Martin, zoe@b.example", line) for line in lines)
    assert " sub_2" in lines
    assert any("and 3 more" in line for line in lines)


@pytest.mark.parametrize("mark", ["\x1b[31m", "\x1b]0;title\x07", "\r", "\n", "\x9b2J", "\u202e"])
def test_no_name_or_id_steers_the_terminal(mark: str) -> None:
    hostile = f"Zoé{mark} [bold]Martin[/bold]"
    customer = CustomerName(hostile, hostile, hostile)
    facts: dict[str, Any] = {"subscription_id": f"sub_{mark}", "customer_id": f"cus_{mark}"}
    pause = replace(finding(meaning=f"Means {mark}", **facts), customers=(customer,))
    other = Finding("odd", Severity.INFO, (f"x{mark}",), verbatim(mark), verbatim(f"Do {mark}"), customers=(customer,))
    mirrored = replace(
        HELD,
        subscription=subscription(
            id=f"sub_{mark}", status=mark, paused_reason=mark, pause_collection=PauseCollection(mark, None)
        ),
    )
    given = facts_of(replace(plain("active"), id=f"sub_{mark}", customer_id=f"cus_{mark}"))
    explained = ExplainedSubscription(Explanation(given, None), f"bpc_{mark}", (), mark, (mark,))
    reports = [
        terminal_of(audit_report(pause, other)),
        show.mirror_as_text([mirrored]),
        explain.explained_as_text(explained, "en"),
    ]
    for text in map(printed, reports):
        assert not [each for each in text if not each.isprintable() and each != "\n"]
        assert mark.strip() not in text or not mark.strip()
    assert "[bold]Martin[/bold]" in " ".join(printed(reports[0]).split())


@pytest.mark.parametrize("command", ["link", "show", "audit"])
def test_help_needs_no_deployment(command: str) -> None:
    assert CliRunner().invoke(app, [command, "--help"]).exit_code == 0


def test_the_payment_methods_of_a_country_need_no_subscription_and_no_deployment() -> None:
    told = CliRunner().invoke(app, ["explain", "--country", "fr", "--format", "json"])
    methods = json.loads(told.stdout)
    assert (methods["country"], methods["payment_methods"]["sepa_debit"]) == ("FR", "yes")
    assert "see_stripes_table" not in methods["payment_methods"].values()
    table = CliRunner().invoke(app, ["explain", "--country", "FR"]).stdout
    assert re.search("sepa_debit +SEPA debit +yes", table)


@pytest.mark.parametrize("command", [["explain", "--country", "FR"], ["audit"]])
def test_only_a_language_with_a_catalogue_is_accepted(command: list[str]) -> None:
    refused = CliRunner().invoke(app, [*command, "--language", "tlh"])
    assert refused.exit_code == 2
    assert "--language" in refused.output


def test_without_a_country_a_subscription_has_to_be_named() -> None:
    with pytest.raises(InvalidRequest, match="sub_123"):
        CliRunner().invoke(app, ["explain"], catch_exceptions=False)


def test_ids_are_whole_in_the_tables_of_every_command() -> None:
    ids = ("sub_1QbCdEfGhIjKlMnOpQrStUvW", "cus_RbCdEfGhIjKlMn", "we_1QbCdEfGhIjKlMnOpQrStUvW")
    drift = Drift(DriftKind.DIFFERENT, ids[0], ids[1], (Difference("items.si_1.quantity", 1, 2),))
    failure = Failure(ids[0], "mirror_contended", "changed 5 times while it was read")
    compared = ComparisonResult(
        read=1, mirrored=1, found={DriftKind.DIFFERENT: 1}, drifts=(drift,), failed=1, failures=(failure,)
    )
    check = CHECKS[0]
    unhealthy = failed(_("{id} was replaced, and is disabled", id=ids[2]), verbatim("x"))
    tables = [each for each in summary_parts(compared, "fr") if isinstance(each, Table)]
    lines = [
        line for each in (*tables, doctor.as_table([(check, unhealthy)], "fr")) for line in printed(each).splitlines()
    ]
    for each in ids:
        assert any(each in line for line in lines), each
