"""Signed-in users end to end: an issuer, API Gateway's authorizer before the real function, and the portal."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import jwt
import pytest
import requests
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from starlette.applications import Starlette

from functions.create_session import app as create_session_app
from local.assembly import serving
from local.aws.intrinsics import PhysicalNames
from local.aws.lambda_function import LambdaFunction
from local.aws.template import Template
from local.gateway.api import Gateway
from local.site.sign_in import OidcIssuer
from tests.end_to_end.stack_fixture import free_port
from tests.integration.conftest import LINK_SECRET, Api, Aws
from tests.integration.portal_world import World
from tests.integration.simulator_fixtures import RunningSimulator

AUDIENCE = "shop"


class Deployment:
    """A deployment with an issuer, as a browser reaches it."""

    def __init__(self, url: str, issuer: OidcIssuer, world: World) -> None:
        self.url = url
        self.issuer = issuer
        self.world = world
        self.stranger = OidcIssuer(issuer.url, AUDIENCE)

    def post(self, token: str | None, scheme: str = "Bearer ", **body: Any) -> requests.Response:
        headers = {"Authorization": f"{scheme}{token}"} if token is not None else {}
        return requests.post(f"{self.url}/portal/sessions", json=body, headers=headers, timeout=60)

    def claims(self, **claims: Any) -> dict[str, Any]:
        now = int(time.time())
        return {"iss": self.issuer.url, "aud": AUDIENCE, "sub": "u", "exp": now + 60, "iat": now} | claims


@pytest.fixture
def deployment(
    aws: Aws, api: Api, simulator: RunningSimulator, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Deployment]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("ALLOW_VERIFIED_EMAIL", "true")
    monkeypatch.setenv("CREATE_MISSING_CUSTOMERS", "true")
    create_session_app._wire.cache_clear()
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    issuer = OidcIssuer(f"{url}/oidc", AUDIENCE)
    parameters = {
        "AllowedReturnOrigins": "https://shop.example",
        "DefaultReturnUrl": "https://shop.example/account",
        "AuditEmailFrom": "audit@shop.example",
        "AuditEmailTo": "team@shop.example",
        "OidcIssuer": issuer.url,
        "OidcAudience": AUDIENCE,
    }
    template = Template.load(parameters=parameters, names=PhysicalNames(aws_url=aws.url))
    functions = {name: LambdaFunction(each) for name, each in template.functions().items()}
    gateway = Gateway(template.routes(), functions, otherwise=Starlette(routes=issuer.routes("/oidc")))
    with serving(gateway, port):
        yield Deployment(url, issuer, World(api, simulator))


def test_a_signed_in_user_opens_the_portal_of_the_claims_customer(deployment: Deployment) -> None:
    world = deployment.world
    for claim in (world.customer, [world.customer]):
        answer = deployment.post(deployment.issuer.token("user-1", stripe_customer_id=claim))
        assert answer.status_code == 201
        assert "ada@example.com" in requests.get(answer.json()["url"], timeout=60).text
    both = deployment.issuer.token("user-1", stripe_customer_id=[world.customer, world.other])
    assert deployment.post(both).json()["code"] == "customer_required"
    assert deployment.post(both, customer=world.other).status_code == 201
    assert world.last()["customer"] == world.other


def test_a_verified_address_finds_a_customer_or_makes_one(deployment: Deployment) -> None:
    world = deployment.world
    assert deployment.post(deployment.issuer.token("u", email="ada@example.com", email_verified=True)).ok
    assert world.last()["customer"] == world.customer
    newcomer = deployment.issuer.token("n", email="new@example.com", email_verified=True)
    assert [deployment.post(newcomer).status_code for _ in range(2)] == [201, 201]
    (made,) = world.stripe.v1.customers.list({"email": "new@example.com"}).data
    assert made.metadata is not None
    assert made.metadata.to_dict() == {
        "portal_issuer": deployment.issuer.url,
        "portal_subject": "n",
    }
    for verified in (False, "yes", 1, None, ["true"]):
        token = deployment.issuer.token("u", email="ada@example.com", email_verified=verified)
        assert deployment.post(token).json()["code"] == "no_customer"


def test_a_claim_of_another_type_opens_nothing(deployment: Deployment) -> None:
    own = deployment.world.customer
    for claim in (7, True, None, {"id": own}, [[own]], [], "", f"[[{own}]]", f"{own} {own}", [own, 7]):
        answer = deployment.post(deployment.issuer.token("user-1", stripe_customer_id=claim))
        assert (answer.status_code, answer.json()["code"]) == (403, "no_customer"), claim
    assert deployment.world.sessions() == []


def hmac_with_public_key(deployment: Deployment) -> str:
    """HS256 keyed with the text of the public key, which PyJWT itself refuses to sign with."""
    public = deployment.issuer._key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    algorithm = jwt.algorithms.HMACAlgorithm(jwt.algorithms.HMACAlgorithm.SHA256)
    parts = deployment.issuer.token("u").split(".")
    header = jwt.utils.base64url_encode(b'{"alg":"HS256","kid":"demo","typ":"JWT"}').decode()
    signature = algorithm.sign(f"{header}.{parts[1]}".encode(), public)
    return f"{header}.{parts[1]}.{jwt.utils.base64url_encode(signature).decode()}"


FORGERIES: dict[str, Callable[[Deployment], str]] = {
    "nothing": lambda _: "",
    "no token": lambda _: "a.b.c",
    "link token": lambda d: d.world.token(),
    "link token with kid": lambda d: jwt.encode(d.claims(), LINK_SECRET, "HS256", headers={"kid": "demo"}),
    "another's key": lambda d: d.stranger.token("u", stripe_customer_id=d.world.customer),
    "public key as secret": hmac_with_public_key,
    "unsigned": lambda d: jwt.encode(d.claims(), "", "none", headers={"kid": "demo"}),
    "another issuer": lambda d: d.issuer.token("u", iss="https://evil.example"),
    "issuer with a slash": lambda d: d.issuer.token("u", iss=f"{d.issuer.url}/"),
    "another audience": lambda d: d.issuer.token("u", aud="other"),
    "other audiences": lambda d: d.issuer.token("u", aud=["other", "shop "]),
    "no audience": lambda d: jwt.encode(
        {k: v for k, v in d.claims().items() if k != "aud"}, d.issuer._key, "RS256", headers={"kid": "demo"}
    ),
    "client_id beside another audience": lambda d: d.issuer.token("u", aud="other", client_id=AUDIENCE),
    "expired": lambda d: d.issuer.token("u", exp=int(time.time()) - 1),
    "not yet": lambda d: d.issuer.token("u", nbf=int(time.time()) + 60),
    "issued tomorrow": lambda d: d.issuer.token("u", iat=int(time.time()) + 86_400),
    "unknown key": lambda d: jwt.encode(d.claims(), d.issuer._key, "RS256", headers={"kid": "other"}),
    "no key named": lambda d: jwt.encode(d.claims(), d.issuer._key, "RS256"),
    "tampered": lambda d: d.issuer.token("u")[:-8] + "AAAAAAAA",
    "two": lambda d: f"{d.issuer.token('u')}, Bearer {d.issuer.token('u')}",
}


def test_the_authorizer_lets_no_forgery_reach_the_function(deployment: Deployment) -> None:
    deployment.world.simulator.admin("DELETE", "requests")
    for name, forge in FORGERIES.items():
        answer = deployment.post(forge(deployment))
        assert (answer.status_code, answer.json()) == (401, {"message": "Unauthorized"}), name
        assert answer.headers["www-authenticate"] == "Bearer"
    assert deployment.world.simulator.admin("GET", "requests") == {}


def test_without_a_token_nobody_passes_whatever_else_is_sent(deployment: Deployment) -> None:
    assert deployment.post(None, customer=deployment.world.customer).status_code == 401
    assert deployment.post("Basic dTpw", scheme="").status_code == 401


def test_the_token_may_come_without_bearer_and_for_a_client(deployment: Deployment) -> None:
    claims = {"stripe_customer_id": deployment.world.customer}
    assert deployment.post(deployment.issuer.token("u", **claims), scheme="").status_code == 201
    access = deployment.claims(client_id=AUDIENCE, **claims)
    del access["aud"]
    token = jwt.encode(access, deployment.issuer._key, "RS256", headers={"kid": "demo"})
    assert deployment.post(token).status_code == 201


def test_a_link_token_still_opens_the_link(deployment: Deployment) -> None:
    token = deployment.world.token()
    answer = requests.get(f"{deployment.url}/portal", {"token": token}, timeout=60, allow_redirects=False)
    assert answer.status_code == 303
    assert deployment.world.last()["customer"] == deployment.world.customer
