"""What a web page of another origin on this machine gets out of the stack: nothing."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from playwright.sync_api import Page

from tests.end_to_end.stack_fixture import RunningStack, get

# Reads in each way that a page has, and writes without caring for the answer.
ATTACK = """
async ([url, secretUrl]) => {
  const seen = {};
  const attempt = async (name, options, target = url) => {
    try {
      const response = await fetch(target, {...options, signal: AbortSignal.timeout(5000)});
      seen[name] = response.type === "opaque" ? "opaque" : `${response.status} ${(await response.text()).slice(0, 80)}`;
    } catch (error) {
      seen[name] = "blocked";
    }
  };
  await attempt("get", {});
  await attempt("post", {method: "POST", body: "x=1"});
  await attempt("with headers", {headers: {authorization: "Bearer sk_test_local"}});
  await attempt("no-cors", {mode: "no-cors"});
  await attempt("secret", {
    method: "POST",
    headers: {
      "content-type": "application/x-amz-json-1.1",
      "x-amz-target": "secretsmanager.ListSecrets",
      authorization: "AWS4-HMAC-SHA256 Credential=local/20240101/eu-west-1/secretsmanager/aws4_request, Signature=0",
    },
    body: "{}",
  }, secretUrl);
  const frame = document.createElement("iframe");
  frame.src = url;
  document.body.append(frame);
  await new Promise((resolve) => {
    frame.addEventListener("load", resolve);
    setTimeout(resolve, 3000);
  });
  try {
    seen.frame = frame.contentDocument ? "blocked" : "opaque";
    if (frame.contentDocument) seen.frame = frame.contentDocument.body.textContent || "blocked";
  } catch (error) {
    seen.frame = "blocked";
  }
  const script = document.createElement("script");
  script.src = url;
  document.body.append(script);
  seen.script = await new Promise((resolve) => {
    script.addEventListener("load", () => resolve("loaded"));
    script.addEventListener("error", () => resolve("blocked"));
    setTimeout(() => resolve("timeout"), 3000);
  });
  return seen;
}
"""


@pytest.fixture
def foreign_page(page: Page) -> Iterator[Page]:
    """A page of a server of its own on this machine."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.end_headers()
            self.wfile.write(b"<!doctype html><title>Another site</title><body>")

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's own name
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    page.goto(f"http://127.0.0.1:{server.server_port}/")
    yield page
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize(
    ("server", "path"),
    [(0, "/local.json"), (1, "/_simulator/deliveries"), (1, "/v1/customers"), (2, "/moto-api/data.json")],
)
def test_a_page_of_another_origin_can_read_nothing(
    foreign_page: Page, stack: RunningStack, server: int, path: str
) -> None:
    urls = [f"http://127.0.0.1:{port}" for port in stack.ports]
    statuses: list[int] = []
    foreign_page.on(
        "response", lambda response: statuses.append(response.status) if response.url.startswith(urls[server]) else None
    )
    seen = foreign_page.evaluate(ATTACK, [urls[server] + path, f"{urls[2]}/"])
    assert seen == {
        **dict.fromkeys(("get", "post", "with headers", "secret", "script"), "blocked"),
        **dict.fromkeys(("no-cors", "frame"), "opaque"),
    }
    assert statuses
    assert set(statuses) == {403}


def test_the_demos_own_pages_and_forms_go_on_working(page: Page, stack: RunningStack) -> None:
    page.goto(stack.url)
    page.get_by_role("button", name="Run the nightly audit now").click()
    page.wait_for_url("**/outbox")
    assert get(f"{stack.url}/local.json").json()["stripe_api_base"] == f"http://127.0.0.1:{stack.ports[1]}"
