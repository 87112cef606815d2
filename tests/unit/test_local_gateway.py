"""API Gateway's payload format 2.0, in and out."""

import time
from base64 import b64encode
from typing import Any

import pytest

from local.aws.intrinsics import TemplateError
from local.aws.template import Route
from local.gateway.api import RouteMatch, RouteTable
from local.gateway.authorizer import as_text
from local.gateway.event import HttpRequest, MalformedResponse, event_of, response_of


def request_of(
    *headers: tuple[str, str], body: bytes = b"", query: str = "", path: str = "/a b", method: str = "POST"
) -> HttpRequest:
    return HttpRequest(method, path, query, (("host", "127.0.0.1:8787"), *headers), body, "127.0.0.1", "HTTP/1.1")


REQUEST = request_of(
    ("user-agent", "curl/8"),
    ("accept", "text/html"),
    ("accept", "text/plain"),
    ("cookie", "a=1; b=2"),
    ("content-type", "application/json; charset=utf-8"),
    body='{"é": 1}'.encode(),
    query="x=1&x=2&empty=&y=%C3%A9",
)


def test_an_event_has_the_shape_of_format_2() -> None:
    event = event_of(REQUEST, "POST /{name}", {"name": "a b"})
    del event["requestContext"]
    assert event == {
        "version": "2.0",
        "routeKey": "POST /{name}",
        "rawPath": "/a b",
        "rawQueryString": "x=1&x=2&empty=&y=%C3%A9",
        "cookies": ["a=1", "b=2"],
        "headers": {
            "host": "127.0.0.1:8787",
            "user-agent": "curl/8",
            "accept": "text/html,text/plain",
            "content-type": "application/json; charset=utf-8",
            "x-forwarded-for": "127.0.0.1",
            "x-forwarded-proto": "http",
        },
        "queryStringParameters": {"x": "1,2", "empty": "", "y": "é"},
        "pathParameters": {"name": "a b"},
        "body": '{"é": 1}',
        "isBase64Encoded": False,
    }


def test_an_events_context_tells_who_asked_what_and_when() -> None:
    context = event_of(REQUEST, "POST /{name}", {"name": "a b"})["requestContext"]
    assert context.pop("requestId")
    assert abs(context.pop("timeEpoch") / 1000 - time.time()) < 60
    assert context.pop("time").endswith(" +0000")
    assert context.pop("http") == {
        "method": "POST",
        "path": "/a b",
        "protocol": "HTTP/1.1",
        "sourceIp": "127.0.0.1",
        "userAgent": "curl/8",
    }
    assert context == {
        "accountId": "123456789012",
        "apiId": "local",
        "domainName": "127.0.0.1:8787",
        "domainPrefix": "127",
        "routeKey": "POST /{name}",
        "stage": "$default",
    }


def test_what_a_request_does_not_have_is_left_out() -> None:
    event = event_of(request_of(method="GET"), "GET /x", {})
    assert not event.keys() & {"body", "cookies", "queryStringParameters", "pathParameters"}


@pytest.mark.parametrize("kind", ["text/plain", "TEXT/HTML; charset=utf-8", "application/json", "application/xml"])
def test_a_text_body_passes_as_it_is(kind: str) -> None:
    event = event_of(request_of(("content-type", kind), body=b"hello"), "POST /", {})
    assert (event["body"], event["isBase64Encoded"]) == ("hello", False)


@pytest.mark.parametrize("kind", ["application/octet-stream", "application/x-www-form-urlencoded", "image/png", ""])
def test_every_other_body_is_base64_a_form_among_them(kind: str) -> None:
    headers = (("content-type", kind),) if kind else ()
    event = event_of(request_of(*headers, body=b"\xff\x00"), "POST /", {})
    assert (event["body"], event["isBase64Encoded"]) == (b64encode(b"\xff\x00").decode(), True)


def test_an_answer_becomes_a_response() -> None:
    answer = {
        "statusCode": 303,
        "headers": {"Location": "/x", "X-Flag": True, "X-Number": 1},
        "cookies": ["a=1", "b=2; Secure"],
        "body": "",
    }
    response = response_of(answer)
    assert response.status == 303
    assert response.headers == (
        ("location", "/x"),
        ("x-flag", "true"),
        ("x-number", "1"),
        ("content-type", "text/plain;charset=utf-8"),
        ("set-cookie", "a=1"),
        ("set-cookie", "b=2; Secure"),
    )


def test_a_binary_answer_is_decoded() -> None:
    answer = {"statusCode": 200, "body": b64encode(b"\x00\xff").decode(), "isBase64Encoded": True}
    assert response_of(answer).body == b"\x00\xff"


@pytest.mark.parametrize(("answer", "body"), [({"hello": 1}, b'{"hello": 1}'), ("hello", b"hello"), (None, b"null")])
def test_an_answer_without_a_status_code_is_the_body_of_a_200(answer: Any, body: bytes) -> None:
    response = response_of(answer)
    assert (response.status, response.headers, response.body) == (200, (("content-type", "application/json"),), body)


@pytest.mark.parametrize(
    "answer",
    [
        {"statusCode": "soon"},
        {"statusCode": 200, "body": {"not": "text"}},
        {"statusCode": 200, "headers": ["not", "a", "hash"]},
        {"statusCode": 200, "body": "not base64!", "isBase64Encoded": True},
    ],
)
def test_an_answer_that_api_gateway_would_not_pass_on_is_refused(answer: Any) -> None:
    with pytest.raises(MalformedResponse):
        response_of(answer)


# ------------------------------------------------------------------ which route a request takes
KEYS = [
    "$default",
    "ANY /{proxy+}",
    "GET /items/{id}",
    "GET /items/special",
    "ANY /items/{id}",
    "HEAD /portal",
    "GET /portal",
]


@pytest.mark.parametrize(
    ("method", "path", "key", "parameters"),
    [
        ("GET", "/items/special", "GET /items/special", {}),
        ("GET", "/items/7", "GET /items/{id}", {"id": "7"}),
        ("POST", "/items/7", "ANY /items/{id}", {"id": "7"}),
        ("GET", "/items/7/more", "ANY /{proxy+}", {"proxy": "items/7/more"}),
        ("GET", "/", "$default", {}),
        ("HEAD", "/portal", "HEAD /portal", {}),
    ],
)
def test_the_most_specific_route_wins(method: str, path: str, key: str, parameters: dict[str, str]) -> None:
    table = RouteTable(Route(each, "F") for each in KEYS)
    assert table.find(method, path) == RouteMatch(Route(key, "F"), parameters)


def test_head_is_a_method_of_its_own() -> None:
    table = RouteTable([Route("GET /portal", "F")])
    assert table.find("HEAD", "/portal") is None
    assert table.has_path("/portal")
    assert not table.has_path("/portal/")


def test_what_is_no_route_key_is_named() -> None:
    with pytest.raises(TemplateError, match="GETportal"):
        RouteTable([Route("GETportal", "F")])


# ------------------------------------------------------------------ claims are text by the time that a function sees th
@pytest.mark.parametrize(
    ("claim", "text"),
    [
        ("cus_1", "cus_1"),
        (["cus_1", "cus_2"], "[cus_1 cus_2]"),
        (["cus_1"], "[cus_1]"),
        ([], "[]"),
        ([["cus_1"]], "[[cus_1]]"),
        (True, "true"),
        (False, "false"),
        (7, "7"),
        (None, "<nil>"),
        ({"id": "cus_1", "a": [1]}, "map[a:[1] id:cus_1]"),
        ("[cus_1 cus_2]", "[cus_1 cus_2]"),
    ],
)
def test_every_claim_becomes_text(claim: Any, text: str) -> None:
    assert as_text(claim) == text
