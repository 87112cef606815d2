"""Tokens as an attacker would make them: each is refused, or is the very token that our own secret signed."""

import base64
import hashlib
import hmac
import json
import time
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from pydantic import ValidationError

from shared.errors import Unauthenticated
from shared.link_token import MAX_LENGTH, LinkTokens
from shared.secret_store import LinkSecrets

SECRET = "s" * 64
KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
PRIVATE = KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
PUBLIC = KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def good_claims(**claims: Any) -> dict[str, Any]:
    return {"sub": "cus_1", "aud": "portal", "exp": int(time.time()) + 600} | claims


def encoded(part: Any) -> bytes:
    text = part if isinstance(part, bytes) else json.dumps(part).encode()
    return base64.urlsafe_b64encode(text).rstrip(b"=")


def signed(header: Any, claims: Any = None, secret: str = SECRET, digest: Any = hashlib.sha256) -> str:
    """A token with any header and payload at all, signed as HMAC has it."""
    message = encoded(header) + b"." + encoded(good_claims() if claims is None else claims)
    return (message + b"." + encoded(hmac.new(secret.encode(), message, digest).digest())).decode()


def customer_of(token: str, secret: str = SECRET) -> str:
    return LinkTokens({"1": secret}).read(token, now=time.time()).sub


def refused(token: str, secret: str = SECRET) -> str:
    with pytest.raises(Unauthenticated) as caught:
        customer_of(token, secret)
    assert token not in caught.value.message
    return caught.value.code


def unsigned(algorithm: str) -> str:
    return (encoded({"alg": algorithm, "typ": "JWT"}) + b"." + encoded(good_claims()) + b".").decode()


@pytest.mark.parametrize("algorithm", ["none", "None", "NONE", "nOnE", ""])
def test_a_token_without_a_signature_opens_nothing(algorithm: str) -> None:
    assert refused(unsigned(algorithm)) == "bad_token"
    assert refused(signed({"alg": algorithm})) == "bad_token"


@pytest.mark.parametrize("algorithm", ["RS256", "PS256", "RS512"])
def test_no_key_pair_signs_for_us(algorithm: str) -> None:
    assert refused(jwt.encode(good_claims(), PRIVATE, algorithm=algorithm)) == "bad_token"


def test_a_public_key_for_a_secret_opens_nothing() -> None:
    """The classic confusion: were the secret a public key, whoever knows it could sign."""
    with pytest.raises(ValidationError, match="no white space"):
        LinkSecrets.model_validate({"1": PUBLIC})
    assert refused(jwt.encode(good_claims(), PRIVATE, algorithm="RS256"), PUBLIC) == "bad_token"


@pytest.mark.parametrize(("algorithm", "digest"), [("HS384", hashlib.sha384), ("HS512", hashlib.sha512)])
def test_only_hs256_counts_even_with_our_secret(algorithm: str, digest: Any) -> None:
    assert refused(signed({"alg": algorithm}, digest=digest)) == "bad_token"


@pytest.mark.parametrize("algorithm", ["hs256", "HS256 ", ["HS256"], {"alg": "HS256"}, None, 256, True])
def test_the_algorithm_is_spelled_as_it_is(algorithm: Any) -> None:
    assert refused(signed({"alg": algorithm})) == "bad_token"


KEY_OF_THEIR_OWN: tuple[dict[str, Any], ...] = (
    {"jwk": {"kty": "oct", "k": encoded(b"a" * 64).decode()}},
    {"jku": "https://evil.example/keys.json"},
    {"x5u": "https://evil.example/certificate.pem"},
    {"x5c": ["MIIB"]},
    {"kid": "../../../../dev/null"},
    {"kid": "' UNION SELECT 'a"},
)


@pytest.mark.parametrize("extra", KEY_OF_THEIR_OWN, ids=lambda extra: next(iter(extra)))
def test_the_header_cannot_bring_the_key(extra: dict[str, Any]) -> None:
    for secret in ("a" * 64, "", encoded(b"a" * 64).decode()):
        assert refused(signed({"alg": "HS256", **extra}, secret=secret)) == "bad_token"
    # What our own secret has signed is ours, whatever else its header says; nobody else can change it. But a `kid` has
    # to name one of our secrets.
    ours = signed({"alg": "HS256", **extra})
    assert refused(ours) == "bad_token" if "kid" in extra else customer_of(ours) == "cus_1"


@pytest.mark.parametrize(
    "extra",
    [
        {"crit": ["exp"]},
        {"crit": ["x"], "x": 1},
        {"crit": []},
        {"crit": "x"},
        {"crit": ["b64"], "b64": False},
        {"b64": False},
    ],
)
def test_what_has_to_be_understood_and_is_not_is_refused(extra: dict[str, Any]) -> None:
    assert refused(signed({"alg": "HS256", **extra})) == "bad_token"


@pytest.mark.parametrize(
    "audience",
    ["portal ", "PORTAL", "portal,admin", "*", "", ["portal"], ["admin", "portal"], [], {"portal": 1}, 0, True],
)
def test_a_token_for_another_audience_opens_nothing(audience: Any) -> None:
    assert refused(signed({"alg": "HS256"}, good_claims(aud=audience))) == "bad_token"


@pytest.mark.parametrize("name", ["aud", "exp", "sub"])
def test_a_token_without_what_it_needs_opens_nothing(name: str) -> None:
    absent = {k: v for k, v in good_claims().items() if k != name}
    for claims in (absent, good_claims(**{name: None})):
        assert refused(signed({"alg": "HS256"}, claims)) == "bad_token"


@pytest.mark.parametrize("expiry", [-1, 0, True, 1.5])
def test_a_token_of_the_past_has_expired(expiry: Any) -> None:
    assert refused(signed({"alg": "HS256"}, good_claims(exp=expiry))) == "expired_token"


@pytest.mark.parametrize("expiry", [9e99, 10**30, float("nan"), float("inf"), "tomorrow", [1], {"now": 1}, "NaN"])
def test_a_token_lives_for_a_time_that_is_one(expiry: Any) -> None:
    assert refused(signed({"alg": "HS256"}, good_claims(exp=expiry))) == "bad_token"


@pytest.mark.parametrize("name", ["exp", "nbf"])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), "", "soon", [1], {"now": 1}])
def test_what_is_no_time_at_all_opens_nothing(name: str, value: Any) -> None:
    assert refused(signed({"alg": "HS256"}, good_claims(**{name: value}))) == "bad_token"


@pytest.mark.parametrize("token", ["\ud800.a.b", "a.b.\ud800", "\u0661.\u0662.\u0663", "a.b.c\x00"])
def test_a_token_that_no_encoding_can_write_is_refused_and_no_fault(token: str) -> None:
    assert refused(token) == "bad_token"


@pytest.mark.parametrize("payload", [b"[]", b"null", b'"x"', b"1", b"", b"[" * 700, b'{"sub":"cus_1"', b"\xff\xfe"])
def test_a_payload_that_is_no_object_opens_nothing(payload: bytes) -> None:
    assert refused(signed({"alg": "HS256"}, payload)) == "bad_token"


@pytest.mark.parametrize("change", ["{},", "{},{}", " {}", "{} ", "{}!!", "{}.", ".{}", "{}\n", "{}==", "Bearer {}"])
def test_nothing_may_stand_around_a_token(change: str) -> None:
    token = signed({"alg": "HS256"})
    assert refused(change.replace("{}", token)) == "bad_token"


def test_a_long_token_is_not_read_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    token = signed({"alg": "HS256", "pad": "x" * MAX_LENGTH})
    monkeypatch.setattr(jwt, "decode", lambda *_, **__: pytest.fail("it was read"))
    assert refused(token) == "bad_token"
    assert refused("a" * 5_000_000) == "bad_token"


NO_TEXT: list[Any] = [7, 1.5, True, [], ["cus_1"], {"id": "cus_1"}, ""]


@pytest.mark.parametrize("value", [*NO_TEXT, "cus_1 cus_2", "cus_1,cus_2", "x\ny"])
@pytest.mark.parametrize("claim", ["sub", "flow", "subscription", "locale"])
def test_a_claim_of_a_wrong_type_or_form_opens_nothing(claim: str, value: Any) -> None:
    assert refused(signed({"alg": "HS256"}, good_claims(**{claim: value}))) == "bad_token"


@pytest.mark.parametrize("value", NO_TEXT)
def test_a_group_is_text(value: Any) -> None:
    assert refused(signed({"alg": "HS256"}, good_claims(group=value))) == "bad_token"
