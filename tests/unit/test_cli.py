"""What the terminal shows, without a deployment."""

import io
import json
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from rich.console import Console
from typer.testing import CliRunner

from cli import audit, show
from cli.main import app, main
from cli.terminal import duration
from shared.audit.findings import Finding, Severity
from shared.errors import InvalidRequest
from shared.i18n import same
from shared.mirror.table import MirroredSubscription
from shared.stripe.subscription import PauseCollection
from tests.audit_findings import finding
from tests.fakes import audit_report, subscription

HELD = MirroredSubscription(
    subscription(pause_collection=PauseCollection("void", 1_800_000_000)), 1_790_000_000, 3, "evt_1", 1_700_000_000
)


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
    (item,) = json.loads(show.mirror_as_json([HELD]))
    assert item["subscription_id"] == "sub_1"
    assert item["pause_kind"] == "collection"
    assert item["pause_collection"] == {"behavior": "void", "resumes_at": 1_800_000_000}
    assert (item["as_of"], item["revision"], item["paused_since"]) == (1_790_000_000, 3, 1_700_000_000)


def test_findings_of_one_kind_are_explained_once_and_markup_is_not_obeyed() -> None:
    findings = tuple(
        Finding("old_pause_form", Severity.WARNING, (f"bpc_{n}[red]",), same("It means [bold]this"), same("Do that"))
        for n in (1, 2)
    )
    now = datetime(2024, 7, 31, 23, tzinfo=UTC)
    report = replace(audit_report(*findings), as_of=now, subscriptions_read=1)
    text = printed(audit.report_as_text(report))
    assert text.count("It means [bold]this") == 1
    assert "bpc_1[red]" in text
    assert "bpc_2[red]" in text
    assert "1 August 2024" in text
    assert "1 subscription read" in " ".join(text.split())


def test_the_worst_comes_first() -> None:
    findings = tuple(
        Finding("old_pause_form", each, (), same(f"This is {each}."), same("Do that")) for each in Severity
    )
    text = printed(audit.report_as_text(audit_report(*findings)))
    assert text.index("This is critical.") < text.index("This is warning.") < text.index("This is info.")


def test_the_terminal_shows_a_thousand_pauses_and_counts_the_others() -> None:
    text = printed(audit.report_as_text(audit_report(*(finding(number) for number in range(1003)))))
    assert len(re.findall(r"cus_\d+", text)) == 1000
    assert "and 3 more, not shown here." in text


def test_the_terminal_speaks_of_the_teams_days_as_the_mail_does() -> None:
    assert "since 2 March 2024" in printed(audit.report_as_text(audit_report(finding())))


def test_without_a_stack_the_mend_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["portal", "--local", "--local-url", "http://127.0.0.1:1", "show", "cus_1"])
    monkeypatch.setattr("requests.get", lambda *_, **__: (_ for _ in ()).throw(ValueError))
    with pytest.raises(SystemExit) as caught:
        main()
    assert str(caught.value) == "portal: Nothing answers at http://127.0.0.1:1: start it with `make dev`"


def test_without_aws_the_ways_out_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["portal", "show", "cus_1"])
    monkeypatch.delenv("AWS_DEFAULT_REGION", raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nowhere")
    with pytest.raises(SystemExit) as caught:
        main()
    assert str(caught.value) == (
        "portal: AWS: You must specify a region. Choose account and region with AWS_PROFILE and AWS_REGION, or use "
        "`portal --local` for the `make dev` stack"
    )


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


def test_without_a_country_a_subscription_has_to_be_named() -> None:
    with pytest.raises(InvalidRequest, match="sub_123"):
        CliRunner().invoke(app, ["explain"], catch_exceptions=False)
