"""A walk through the demo as a person takes it, with plain HTTP and nothing of ours."""

import html
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
import requests

from tests.end_to_end.stack_fixture import (
    HAS_PROC,
    PATIENCE_SECONDS,
    RunningStack,
    customer_page,
    eventually,
    get,
    is_free,
    links_of,
    row_of,
    submit_portal_form,
)


@pytest.fixture(scope="module")
def stack() -> Iterator[RunningStack]:
    # As on a developer's machine with a proxy and an AWS account of its own.
    running = RunningStack.start(
        "--as-of",
        "2024-07-15",
        HTTP_PROXY="http://127.0.0.1:1",
        AWS_PROFILE="work",
        AWS_ENDPOINT_URL_SQS="http://127.0.0.1:1",
    ).wait_until_ready()
    yield running
    running.stop()


def test_the_home_page_lists_everybody_with_what_the_mirror_says(stack: RunningStack) -> None:
    assert ">active</span>" in row_of(stack, "Amélie Laurent")
    assert "invoices voided, until 2029-01-01" in row_of(stack, "Sofia Rossi")
    assert ">2024-02-20<" in row_of(stack, "Sofia Rossi")
    assert "on request" in row_of(stack, "Daniel Kim")
    assert "the trial ended without a card" in row_of(stack, "Priya Sharma")
    eventually(stack, "Emma Johansson", "past due")
    assert "canceled" in row_of(stack, "Luca Moretti")
    assert row_of(stack, "Chloé Dubois").count("EUR a month") == 2
    assert "nothing mirrored" in row_of(stack, "Ingrid Berg")
    assert get(f"{stack.url}/site.css").headers["content-type"].startswith("text/css")


def test_what_a_page_loads_is_what_its_policy_allows(stack: RunningStack) -> None:
    page = get(stack.url)
    shop = get(f"{customer_page(stack, 'Jonas Weber')}/shop")
    for each in (page, shop):
        assert 'rel="icon" href="data:,"' in each.text
        assert "img-src data:" in each.headers["Content-Security-Policy"]


def test_a_link_leads_to_the_customers_own_portal(stack: RunningStack) -> None:
    answer = get(stack.url + links_of(row_of(stack, "Amélie Laurent"))[0])
    assert answer.status_code == 303
    assert answer.headers["location"].startswith(f"http://127.0.0.1:{stack.ports[1]}/p/session/")
    page = requests.get(answer.headers["location"], timeout=60)
    assert page.ok
    assert "Northwind Starter" in page.text


def test_a_group_has_its_own_configuration(stack: RunningStack) -> None:
    assert "legacy" in row_of(stack, "Jonas Weber")
    assert get(stack.url + links_of(row_of(stack, "Jonas Weber"))[0]).status_code == 303


def test_the_no_code_link_leads_everybody_to_the_login_page(stack: RunningStack) -> None:
    answers = [
        get(f"{stack.url}/portal?email={email}") for email in ("amelie.laurent@example.com", "nobody@example.com")
    ]
    assert [answer.status_code for answer in answers] == [303, 303]
    pages = [urlsplit(answer.headers["location"]) for answer in answers]
    assert pages[0].path == pages[1].path
    assert pages[0].path.startswith("/p/login/")
    assert parse_qs(pages[0].query) == {"prefilled_email": ["amelie.laurent@example.com"]}


def test_a_tampered_token_is_refused(stack: RunningStack) -> None:
    link = stack.url + links_of(row_of(stack, "Amélie Laurent"))[0].partition("&")[0]
    changed = link[:-2] + ("AA" if not link.endswith("AA") else "BB")
    assert get(changed).status_code == 401


def test_the_teams_buttons_change_stripe_and_then_the_mirror(stack: RunningStack) -> None:
    page = customer_page(stack, "Oliver Smith")
    action = re.search(r'action="(/customers/[^"]+/subscriptions/[^"]+)"', get(page).text)
    assert action
    paused = {"action": "pause_collection", "behavior": "keep_as_draft"}
    assert requests.post(stack.url + action[1], data=paused, timeout=60).ok
    eventually(stack, "Oliver Smith", "invoices kept as drafts, without an end")
    assert "keep_as_draft" in get(page).text
    requests.post(stack.url + action[1], data={"action": "resume_collection"}, timeout=60)
    eventually(stack, "Oliver Smith", ">active</span>")


def test_a_write_from_another_site_or_under_another_name_is_refused(stack: RunningStack) -> None:
    def post(**headers: str) -> int:
        return requests.post(f"{stack.url}/audit", headers=headers, timeout=60).status_code

    assert post(Origin="https://evil.example") == 403
    assert post(Origin="null") == 403
    assert post(**{"Sec-Fetch-Site": "cross-site"}) == 403
    assert post(Host="evil.example") == 403
    assert get(stack.url, Host="evil.example:8787").status_code == 403


# What each server would give away: the site and the API, the simulator, AWS.
GIVEN_AWAY = [
    (0, "/local.json"),
    (0, "/portal"),
    (1, "/_simulator/clock"),
    (1, "/v1/customers"),
    (2, "/moto-api/data.json"),
]


@pytest.mark.parametrize(("server", "path"), GIVEN_AWAY)
def test_no_server_answers_another_host_or_a_page_of_another_origin(
    stack: RunningStack, server: int, path: str
) -> None:
    url = f"http://127.0.0.1:{stack.ports[server]}{path}"
    foreign = f"http://127.0.0.1:{stack.ports[server] + 1}"
    preflight = {"Origin": foreign, "Access-Control-Request-Method": "GET"}
    answers = [
        requests.get(url, headers={"Host": "evil.example"}, timeout=60),
        requests.get(url, headers={"Origin": foreign}, timeout=60),
        requests.get(url, headers={"Origin": "null"}, timeout=60),
        requests.get(url, headers={"Sec-Fetch-Site": "same-site", "Sec-Fetch-Dest": "script"}, timeout=60),
        requests.post(url, headers={"Origin": "https://evil.example"}, timeout=60),
        requests.options(url, headers=preflight, timeout=60),
    ]
    assert [answer.status_code for answer in answers] == [403] * 6
    for answer in [*answers, get(url)]:
        assert not [name for name in answer.headers if name.lower().startswith("access-control-")]


def test_the_audit_writes_to_the_team_as_of_the_day_asked_for(stack: RunningStack) -> None:
    answer = requests.post(f"{stack.url}/audit", headers={"Origin": stack.url}, timeout=60, allow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (303, "/outbox")
    assert '<a href="/outbox/1">' in get(f"{stack.url}/outbox").text
    mail = html.unescape(get(f"{stack.url}/outbox/1").text)
    for name in ("Jonas Weber", "Sofia Rossi", "Liam O'Connor", "Yuki Tanaka", "Daniel Kim", "Priya Sharma"):
        assert name in mail
    assert "Amélie Laurent" not in mail
    assert "2024-07-15" in mail
    assert "17 days" in mail
    attachment = get(f"{stack.url}/outbox/1/attachments/1")
    assert attachment.headers["content-disposition"].startswith("attachment;")
    assert get(f"{stack.url}/outbox/1/html").headers["content-security-policy"].startswith("sandbox allow-popups ")
    assert get(f"{stack.url}/outbox/99").status_code == 404


def test_a_link_is_mailed_to_the_customer_and_opens_their_portal(stack: RunningStack) -> None:
    customer = customer_page(stack, "Chloé Dubois").rpartition("/")[2]
    command = [str(Path(sys.executable).with_name("portal")), "--local", "--local-url", stack.url]
    sent = subprocess.run(
        [*command, "link", customer, "--email", "--language", "fr"], capture_output=True, text=True, check=True
    )
    assert sent.stdout.startswith("Envoyé à chloe.dubois@example.com. Le lien est valable ")
    assert "16 juillet 2024" in sent.stdout
    mail = html.unescape(get(f"{stack.url}/outbox/2").text)
    assert "Northwind <billing@northwind.example>" in mail
    link = re.search(rf"{stack.url}/portal\?token=\S+", mail)
    assert link
    assert "/p/session/" in get(link[0]).headers["location"]


def test_who_has_no_subscription_gets_one_in_checkout_and_comes_back(stack: RunningStack) -> None:
    answer = get(stack.url + links_of(row_of(stack, "Ingrid Berg"))[0])
    assert "/c/pay/" in answer.headers["location"]
    form = {"email": "ingrid.berg@example.com"}
    paid = requests.post(answer.headers["location"], data=form, timeout=60, allow_redirects=False)
    back = paid.headers["location"]
    assert back.startswith(f"{stack.url}/portal/return?customer=cus_")
    assert get(back).headers["location"].partition("#")[0] == f"{stack.url}/"
    cookie = answer.headers["set-cookie"].partition(";")[0]
    assert "Northwind Starter" in requests.get(get(back, Cookie=cookie).headers["location"], timeout=60).text
    eventually(stack, "Ingrid Berg", ">active</span>")


def test_the_doctor_finds_a_fresh_stack_healthy(stack: RunningStack) -> None:
    """Nothing connects it first. Only audits are absent until somebody runs one."""
    command = [str(Path(sys.executable).with_name("portal")), "--local", "--local-url", stack.url]
    done = subprocess.run(
        [*command, "doctor", "--format", "json", "--timeout", "120"], capture_output=True, text=True, check=False
    )
    results = json.loads(done.stdout)["results"]
    assert {each["check"] for each in results} > {"webhook", "webhook endpoint", "portal link", "mirror"}
    unwell = [each for each in results if each["state"] not in {"ok", "skipped"} and each["check"] != "last night"]
    assert unwell == []


def test_programs_find_the_stack_and_its_clock(stack: RunningStack) -> None:
    found = get(f"{stack.url}/local.json").json()
    assert found["environment"]["AWS_ENDPOINT_URL"] == f"http://127.0.0.1:{stack.ports[2]}"
    assert found["stripe_api_base"] == f"http://127.0.0.1:{stack.ports[1]}"
    assert found["outputs"]["ApiUrl"] == stack.url
    assert 0 <= found["clock"] - 1721001600 < 3600  # 2024-07-15


def test_the_portal_configurations_are_imported_and_make_no_difference(stack: RunningStack, tmp_path: Path) -> None:
    def portal(*words: str) -> subprocess.CompletedProcess[str]:
        command = [
            sys.executable,
            "-c",
            "from cli.main import main; main()",
            "--local",
            "--local-url",
            stack.url,
            *words,
        ]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)

    assert "portal.yaml: 2 configurations written" in portal("import").stdout
    planned = portal("plan", "--default", "--deactivate")
    assert (planned.returncode, "No difference." in planned.stdout) == (0, True)
    assert "until 1 August 2024 (17 days left)" in planned.stderr
    assert '"legacy": "bpc_' in planned.stdout


def test_every_delivery_of_the_seed_was_taken_at_the_first_attempt(stack: RunningStack) -> None:
    attempts = requests.get(f"http://127.0.0.1:{stack.ports[1]}/_simulator/deliveries", timeout=60).json()["data"]
    assert {(one["status_code"], one["attempt"]) for one in attempts} == {(200, 1)}
    assert "None: the webhook could read every event so far." in get(f"{stack.url}/deliveries").text


def test_a_second_start_says_that_one_is_running(stack: RunningStack) -> None:
    second = RunningStack.start(ports=stack.ports)
    assert second.wait_for_end() == 1
    assert f"A stack is already running at {stack.url}. Stop it with Ctrl-C" in second.said
    assert "Traceback" not in second.said


def test_a_port_of_somebody_else_is_named(stack: RunningStack) -> None:
    other = RunningStack.start(ports=(stack.ports[2], stack.ports[1], stack.ports[0]))
    assert other.wait_for_end() == 1
    assert f"Port {stack.ports[2]} is in use by another program" in other.said
    assert "Traceback" not in other.said


def test_a_live_key_is_refused() -> None:
    refused = RunningStack.start(STRIPE_API_KEY="sk_live_1")
    assert refused.wait_for_end() == 2
    assert "must be a test key" in refused.said


def test_a_pause_locks_the_shops_content_when_the_paid_period_has_ended(stack: RunningStack) -> None:
    """The last on this stack: it moves its clock."""
    page = customer_page(stack, "Amélie Laurent")

    def members() -> str:
        text = get(f"{page}/shop").text
        found = re.search(r'<section class="card" id="members">(.*?)</section>', text, re.DOTALL)
        assert found, text
        return found[1]

    assert "Open." in members()
    subscription = re.search(r"/subscriptions/(sub_\w+)", get(page).text)
    assert subscription
    form = {"action": "pause_collection", "behavior": "void"}
    requests.post(f"{page}/subscriptions/{subscription[1]}", data=form, timeout=60).raise_for_status()
    paused = members()
    assert "Open." in paused
    assert "until 2024-0" in paused
    assert "<code>collection_paused</code>" in paused
    requests.post(f"{page}/clock", timeout=120).raise_for_status()
    assert "active, collection paused" in row_of(stack, "Amélie Laurent")
    # Close to another event, the pause is settled from a queue, some seconds after it is shown.
    deadline = time.monotonic() + PATIENCE_SECONDS
    while "Locked." not in members():
        assert time.monotonic() < deadline, members()
        time.sleep(0.5)
    assert "<code>collection_paused</code>" in members()


# The last: it works on the clock of today, and ends what it started.
def test_today_a_customer_pauses_and_another_cancels_and_ctrl_c_leaves_nothing_behind() -> None:
    stack = RunningStack.start().wait_until_ready()
    try:
        pause = get(stack.url + links_of(row_of(stack, "Amélie Laurent"))[0]).headers["location"]
        submit_portal_form(pause, "pause", duration="1 month")
        eventually(stack, "Amélie Laurent", "paused")
        cancel = get(stack.url + links_of(row_of(stack, "Emma Johansson"))[0]).headers["location"]
        submit_portal_form(cancel, "cancel", feedback="")
        eventually(stack, "Emma Johansson", "ends 20")
        children = stack.descendants()
    finally:
        code = stack.stop()
    assert code == 0
    assert stack.said.endswith("Stopped.\n")
    assert all(is_free(port) for port in stack.ports)
    assert len(children) == (2 if HAS_PROC else 0)
    for child in children:
        with pytest.raises(ProcessLookupError):
            os.kill(child, 0)
