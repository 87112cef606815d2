"""The gateway over HTTP, with small handlers of its own."""

import asyncio
import sys
import threading
import time
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest
import requests
from aws_lambda_powertools import Metrics
from aws_lambda_powertools.metrics import MetricUnit
from starlette.responses import PlainTextResponse
from starlette.types import Message, Scope

from local.assembly import serving
from local.aws.lambda_function import LambdaContext, LambdaFunction
from local.aws.template import Function, Route
from local.gateway.api import Gateway
from tests.end_to_end.stack_fixture import free_port

_running = threading.Lock()


def echo(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    return {"event": event, "name": context.function_name, "left": context.get_remaining_time_in_millis()}


def cookies(_event: dict[str, Any], _context: LambdaContext) -> dict[str, Any]:
    return {"statusCode": 201, "headers": {"X-A": "1"}, "cookies": ["a=1", "b=2"], "body": "made"}


def fail(_event: dict[str, Any], _context: LambdaContext) -> dict[str, Any]:
    raise RuntimeError("a fault of the handler")


def slow(_event: dict[str, Any], _context: LambdaContext) -> dict[str, Any]:
    assert _running.acquire(blocking=False), "two calls at once in one execution environment"
    time.sleep(0.05)
    _running.release()
    return {"statusCode": 200}


def nonsense(_event: dict[str, Any], _context: LambdaContext) -> dict[str, Any]:
    return {"statusCode": "soon"}


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    module = ModuleType("handlers_of_the_gateway_test")
    functions = {}
    for handler in (echo, cookies, fail, slow, nonsense):
        name = handler.__name__
        setattr(module, name, handler)
        sys.modules[module.__name__] = module
        functions[name] = LambdaFunction(Function(name, f"{module.__name__}.{name}", 25, 512))
    keys = {
        "echo": ["POST /echo/{id}", "GET /echo/{id}"],
        "cookies": ["GET /cookies"],
        "fail": ["GET /fail"],
        "slow": ["GET /slow"],
        "nonsense": ["GET /nonsense"],
    }
    routes = [Route(key, name) for name, own in keys.items() for key in own]
    cors = {"AllowOrigins": ["https://shop.example"], "AllowMethods": ["POST"], "AllowHeaders": ["authorization"]}
    gateway = Gateway(routes, functions, cors=cors, otherwise=PlainTextResponse("the site"))
    port = free_port()
    with serving(gateway, port):
        yield f"http://127.0.0.1:{port}"
    del sys.modules[module.__name__]


def test_metrics_that_are_off_do_not_pile_up_until_they_are_written_to_the_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("POWERTOOLS_METRICS_DISABLED", "true")
    counting = Metrics(namespace="Test", service="counting")

    @counting.log_metrics
    def count(_event: dict[str, Any], _context: LambdaContext) -> dict[str, Any]:
        counting.add_metric("Calls", MetricUnit.Count, 1)
        return {}

    module = ModuleType("handler_that_counts")
    module.count = count  # type: ignore[attr-defined]  # a module of its own
    monkeypatch.setitem(sys.modules, module.__name__, module)
    function = LambdaFunction(Function("count", f"{module.__name__}.count", 25, 512))
    for _ in range(101):
        function.invoke({})
    assert capsys.readouterr().out == ""


def test_a_request_reaches_the_handler_as_an_event(url: str) -> None:
    answer = requests.post(f"{url}/echo/a%20b?q=1", json={"x": 1}, cookies={"c": "2"}, timeout=60)
    assert answer.headers["content-type"] == "application/json"
    found = answer.json()
    event = found["event"]
    assert (event["routeKey"], event["rawPath"], event["pathParameters"]) == (
        "POST /echo/{id}",
        "/echo/a b",
        {"id": "a b"},
    )
    assert (event["body"], event["isBase64Encoded"]) == ('{"x": 1}', False)
    assert event["cookies"] == ["c=2"]
    assert event["requestContext"]["http"]["method"] == "POST"
    assert (found["name"], found["left"] > 20_000) == ("echo", True)


def test_a_form_arrives_in_base64(url: str) -> None:
    event = requests.post(f"{url}/echo/1", data={"x": "1"}, timeout=60).json()["event"]
    assert (event["body"], event["isBase64Encoded"]) == ("eD0x", True)


def test_an_answer_keeps_status_headers_and_every_cookie(url: str) -> None:
    answer = requests.get(f"{url}/cookies", timeout=60)
    assert (answer.status_code, answer.text, answer.headers["x-a"]) == (201, "made", "1")
    assert answer.cookies.get_dict() == {"a": "1", "b": "2"}


def test_a_handlers_exception_is_a_500_and_is_told_on_the_console(url: str, capfd: pytest.CaptureFixture[str]) -> None:
    answer = requests.get(f"{url}/fail", timeout=60)
    assert (answer.status_code, answer.json()) == (500, {"message": "Internal Server Error"})
    assert "a fault of the handler" in capfd.readouterr().err


def test_an_answer_that_is_none_is_a_500(url: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert requests.get(f"{url}/nonsense", timeout=60).json() == {"message": "Internal Server Error"}
    assert "GET /nonsense" in capfd.readouterr().err


def test_a_path_of_the_api_with_another_method_is_api_gateways_404(url: str) -> None:
    answer = requests.delete(f"{url}/echo/1", timeout=60)
    assert (answer.status_code, answer.json()) == (404, {"message": "Not Found"})
    assert requests.head(f"{url}/echo/1", timeout=60).status_code == 404


def test_every_other_path_is_the_sites(url: str) -> None:
    assert requests.get(f"{url}/elsewhere", timeout=60).text == "the site"


def test_a_function_runs_one_call_at_a_time(url: str) -> None:
    statuses: list[int] = []
    threads = [
        threading.Thread(target=lambda: statuses.append(requests.get(f"{url}/slow", timeout=60).status_code))
        for _ in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses == [200] * 6


def test_the_gateway_itself_answers_a_browsers_preflight(url: str) -> None:
    asked = {"Origin": "https://shop.example", "Access-Control-Request-Method": "POST"}
    answer = requests.options(f"{url}/echo/1", headers=asked, timeout=60)
    assert answer.headers["access-control-allow-origin"] == "https://shop.example"
    foreign = requests.options(f"{url}/echo/1", headers={**asked, "Origin": "https://evil.example"}, timeout=60)
    assert "access-control-allow-origin" not in foreign.headers


def test_a_client_that_goes_away_in_the_middle_of_a_body_is_no_error() -> None:
    async def receive() -> Message:
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        raise AssertionError(message)

    gateway = Gateway([Route("POST /echo", "echo")], {})
    scope: Scope = {"type": "http", "method": "POST", "path": "/echo", "headers": [], "query_string": b""}
    asyncio.run(gateway(scope, receive, send))
