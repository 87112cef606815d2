"""A link token opens the portal of its one customer, for a while, and nothing else opens anything."""

import base64
import hashlib
import hmac
import json
import re
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any, Literal, NotRequired, get_args, get_origin

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from stripe.params import billing_portal, checkout

from local.stripe_simulator.parameters import _fields
from shared.errors import InvalidRequest, Unauthenticated
from shared.i18n import CHECKOUT_LOCALES, PORTAL_LOCALES, stripe_locale
from shared.link_token import MAX_LENGTH, AfterCompletion, Flow, LinkClaims, LinkTokens
from shared.secret_store import LinkSecrets

SECRET = "s" * 64
TOKENS = LinkTokens({"1": SECRET})
CLAIMS = LinkClaims(
    checkout=False,
    coupon="STAY30",
    after_completion="hosted_confirmation",
    custom_message="Bis bald!",
    sub="cus_1",
    group="business",
    flow="subscription_cancel",
    subscription="sub_1",
    locale="fr-CA",
)


def minted(secret: str = SECRET, algorithm: str = "HS256", **claims: Any) -> str:
    """A token as a site's backend would mint it, with whatever is wrong."""
    good = {"sub": "cus_1", "aud": "portal", "exp": int(time.time()) + 600}
    return jwt.encode({k: v for k, v in (good | claims).items() if v is not None}, secret, algorithm=algorithm)


def read(token: str) -> LinkClaims:
    return TOKENS.read(token, now=time.time())


def test_what_is_minted_is_read() -> None:
    assert read(TOKENS.mint(CLAIMS, expires_in=timedelta(minutes=15), now=time.time())) == CLAIMS


def test_a_link_can_name_a_subscription_from_before_2014() -> None:
    assert read(minted(flow="subscription_cancel", subscription="su_1")).subscription == "su_1"


def test_any_jwt_library_can_mint_one() -> None:
    assert read(minted()) == LinkClaims(sub="cus_1")


def test_a_token_of_another_audience_is_not_taken_for_one() -> None:
    returning = LinkTokens({"1": SECRET}, "portal-return")
    token = returning.mint(CLAIMS, expires_in=timedelta(minutes=15), now=time.time())
    assert returning.read(token, now=time.time()) == CLAIMS
    with pytest.raises(Unauthenticated):
        read(token)
    with pytest.raises(Unauthenticated):
        returning.read(minted(), now=time.time())


def test_a_link_that_nobody_could_read_is_not_minted() -> None:
    claims = CLAIMS.model_copy(update={"custom_message": "\u00e9" * 500})
    with pytest.raises(InvalidRequest, match="shorten its `custom_message`") as caught:
        TOKENS.mint(claims, expires_in=timedelta(minutes=15), now=time.time())
    assert caught.value.code == "link_too_long"


def test_an_expired_token_says_so() -> None:
    with pytest.raises(Unauthenticated) as caught:
        read(minted(exp=int(time.time()) - 1))
    assert caught.value.code == "expired_token"


MINTED_AT = 1_700_000_000.5
LIFE = 900


@pytest.mark.parametrize("late", [0, LIFE - 1])
def test_the_time_that_counts_is_the_one_that_is_given(late: float) -> None:
    token = TOKENS.mint(CLAIMS, expires_in=timedelta(seconds=LIFE), now=MINTED_AT)
    assert TOKENS.read(token, now=MINTED_AT + late) == CLAIMS


@pytest.mark.parametrize(
    ("now", "code"),
    [
        (int(MINTED_AT) + LIFE, "expired_token"),
        (MINTED_AT + 10 * 365 * 86_400, "expired_token"),
        (MINTED_AT - 8 * 86_400, "bad_token"),
    ],
)
def test_a_token_opens_nothing_after_its_time_and_nothing_a_week_before_it(now: float, code: str) -> None:
    token = TOKENS.mint(CLAIMS, expires_in=timedelta(seconds=LIFE), now=MINTED_AT)
    with pytest.raises(Unauthenticated) as caught:
        TOKENS.read(token, now=now)
    assert caught.value.code == code


def test_a_token_opens_nothing_before_its_own_beginning() -> None:
    token = minted(nbf=int(time.time()) + 60)
    with pytest.raises(Unauthenticated):
        read(token)
    assert TOKENS.read(token, now=time.time() + 61).sub == "cus_1"


def test_when_a_token_says_it_was_issued_does_not_matter() -> None:
    """A site whose clock is a minute ahead of ours still makes links that open."""
    assert read(minted(iat=int(time.time()) + 60)) == LinkClaims(sub="cus_1")
    assert read(minted(iat="yesterday")) == LinkClaims(sub="cus_1")


def unsigned() -> str:
    return jwt.encode({"sub": "cus_1", "aud": "portal", "exp": int(time.time()) + 600}, "", algorithm="none")


@pytest.mark.parametrize(
    "make",
    [
        lambda: "",
        lambda: "x",
        lambda: "a.b.c",
        lambda: "é.é.é",
        unsigned,
        lambda: unsigned() + "x",
        lambda: minted(secret="t" * 64),
        lambda: minted(algorithm="HS512"),
    ],
)
def test_only_a_token_that_our_secret_signed_opens_anything(make: Callable[[], str]) -> None:
    with pytest.raises(Unauthenticated):
        read(make())


CHANGE = {"flow": "subscription_update_confirm"}


@pytest.mark.parametrize(
    "claims",
    [
        CHANGE
        | {"subscription": "sub_1", "item": "si_1", "price": "price_1", "quantity": 3, "promotion_code": "promo_1"},
        CHANGE | {"price": "price_1", "coupon": "HALF"},
        CHANGE | {"quantity": 2, "coupon": "HALF"},
        CHANGE | {"quantity": 2, "promotion_code": "promo_1"},
        {"flow": "subscription_cancel", "coupon": "HALF"},
        {"flow": "subscription_pause", "after_completion": "redirect"},
        {"flow": "customer_update", "after_completion": "hosted_confirmation", "custom_message": "x" * 500},
    ],
)
def test_claims_that_fit_together_are_read_as_they_are(claims: dict[str, Any]) -> None:
    assert read(minted(**claims)) == LinkClaims(sub="cus_1", **claims)


@pytest.mark.parametrize(
    ("claims", "reason"),
    [
        ({"price": "price_1"}, "`price` is for the flow subscription_update_confirm"),
        ({"coupon": "HALF"}, "`coupon` is for the flows subscription_cancel and subscription_update_confirm"),
        (
            CHANGE | {"price": "p", "coupon": "A", "promotion_code": "promo_1"},
            "`coupon` or a `promotion_code`, not both",
        ),
        (CHANGE | {"coupon": "HALF"}, "name its `price` or `quantity` too"),
        (CHANGE | {"promotion_code": "promo_1"}, "name its `price` or `quantity` too"),
        ({"after_completion": "redirect"}, "`after_completion` needs a `flow`"),
        ({"flow": "customer_update", "custom_message": "Hi"}, "`custom_message` is for `after_completion` hosted"),
    ],
)
def test_claims_that_do_not_fit_together_are_refused_with_the_reason(claims: dict[str, Any], reason: str) -> None:
    with pytest.raises(Unauthenticated, match=re.escape(reason)):
        read(minted(**claims))


def test_a_token_says_what_it_was_made_for_and_nothing_else() -> None:
    token = TOKENS.mint(LinkClaims(sub="cus_1", group="business"), expires_in=timedelta(seconds=LIFE), now=MINTED_AT)
    assert jwt.decode(token, options={"verify_signature": False}) == {
        "sub": "cus_1",
        "group": "business",
        "aud": "portal",
        "iat": int(MINTED_AT),
        "exp": int(MINTED_AT) + LIFE,
    }


def test_a_token_may_live_for_exactly_seven_days() -> None:
    token = TOKENS.mint(CLAIMS, expires_in=timedelta(days=7), now=MINTED_AT)
    assert TOKENS.read(token, now=int(MINTED_AT)) == CLAIMS
    with pytest.raises(Unauthenticated, match="not live longer than 7 days"):
        TOKENS.read(token, now=int(MINTED_AT) - 1)


def test_a_token_opens_from_its_own_beginning_on() -> None:
    now = int(time.time())
    token = minted(nbf=now)
    assert TOKENS.read(token, now=now) == LinkClaims(sub="cus_1")
    with pytest.raises(Unauthenticated, match="not valid yet") as caught:
        TOKENS.read(token, now=now - 1)
    assert caught.value.code == "bad_token"


@pytest.mark.parametrize("times", [{"exp": 8 * 86_400}, {"nbf": 600}])
def test_a_token_that_lives_too_long_or_is_not_valid_yet_opens_nothing(times: dict[str, int]) -> None:
    claims: dict[str, Any] = {claim: int(time.time()) + seconds for claim, seconds in times.items()}
    with pytest.raises(Unauthenticated):
        read(minted(**claims))


@pytest.mark.parametrize(
    "claims",
    [
        {"aud": "admin"},
        {"aud": None},
        {"aud": ["portal", "admin"]},
        {"exp": None},
        {"exp": "tomorrow"},
        {"sub": None},
        {"sub": ""},
        {"sub": "sub_1"},
        {"sub": "cus_1\n"},
        {"sub": "cus_../cus_2"},
        {"group": 7},
        {"group": ["business"]},
        {"flow": {"type": "x"}},
        {"flow": "subscription_cancel", "subscription": "sub_1/../sub_2"},
        {"locale": "<script>"},
        {"price": "price_1"},
        {"flow": "subscription_update", "price": "price_1"},
        {"flow": "subscription_update_confirm", "price": "price 1"},
        {"flow": "subscription_update_confirm", "quantity": 0},
        {"flow": "subscription_update_confirm", "quantity": "2"},
        {"flow": "subscription_update_confirm", "quantity": True},
        {"flow": "subscription_update_confirm", "price": "price_1", "item": "sub_1"},
        {"flow": "subscription_update_confirm", "coupon": "HALF"},
        {"flow": "subscription_update_confirm", "price": "p", "coupon": "HALF", "promotion_code": "promo_1"},
        {"flow": "subscription_cancel", "promotion_code": "promo_1"},
        {"flow": "payment_method_update", "coupon": "HALF"},
        {"coupon": "HALF"},
        {"after_completion": "portal_homepage"},
        {"flow": "customer_update", "after_completion": "elsewhere"},
        {"flow": "customer_update", "custom_message": "Hello"},
        {"flow": "customer_update", "after_completion": "hosted_confirmation", "custom_message": "x" * 501},
        {"checkout": "false"},
        {"sub": "cus_" + "1" * 2000},
    ],
)
def test_claims_of_a_wrong_form_open_nothing(claims: dict[str, Any]) -> None:
    with pytest.raises(Unauthenticated):
        read(minted(**claims))


@given(st.text(max_size=300))
def test_no_text_at_all_does_more_than_be_refused(token: str) -> None:
    with pytest.raises(Unauthenticated):
        read(token)


@given(st.integers(0, 10_000), st.integers(0, 63))
def test_no_letter_of_a_token_can_be_changed(place: int, letter: int) -> None:
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    token = minted()
    place %= len(token)
    changed = token[:place] + alphabet[letter] + token[place + 1 :]
    # The last letter of a base64 part carries bits that mean nothing: the same signature can be written in four ways.
    if base64.urlsafe_b64decode(changed.split(".")[-1] + "==") == base64.urlsafe_b64decode(token.split(".")[-1] + "=="):
        changed = changed.rpartition(".")[0] + token[token.rindex(".") :]
    if changed == token:
        return
    with pytest.raises(Unauthenticated):
        read(changed)


def test_the_header_cannot_name_another_key() -> None:
    header = base64.urlsafe_b64encode(json.dumps({"alg": "HS256", "kid": "x", "jwk": {"k": "e"}}).encode()).decode()
    _, payload, signature = minted().split(".")
    with pytest.raises(Unauthenticated):
        read(f"{header.rstrip('=')}.{payload}.{signature}")


@pytest.mark.parametrize("life", [timedelta(0), timedelta(seconds=-5), timedelta(days=7, seconds=1)])
def test_a_link_lives_at_most_seven_days(life: timedelta) -> None:
    with pytest.raises(InvalidRequest, match="at most 7 days") as caught:
        TOKENS.mint(CLAIMS, expires_in=life, now=time.time())
    assert caught.value.code == "bad_expiry"


OLD, NEW = "o" * 43, "n" * 43
NOW = 1_800_000_000


def test_a_rotation_breaks_no_link_and_a_removed_secret_opens_none() -> None:
    claims = LinkClaims(sub="cus_1")
    before, rotated, after = LinkTokens({"1": OLD}), LinkTokens({"2": NEW, "1": OLD}), LinkTokens({"2": NEW})
    old, new = (tokens.mint(claims, expires_in=timedelta(hours=1), now=NOW) for tokens in (before, rotated))
    assert [jwt.get_unverified_header(token)["kid"] for token in (old, new)] == ["1", "2"]
    assert [rotated.read(token, now=NOW).sub for token in (old, new)] == ["cus_1", "cus_1"]
    assert after.read(new, now=NOW).sub == "cus_1"
    with pytest.raises(Unauthenticated):
        after.read(old, now=NOW)


def test_a_token_without_a_kid_may_be_signed_with_any_secret() -> None:
    claims = {"sub": "cus_1", "aud": "portal", "exp": NOW + 60}
    tokens = LinkTokens({"2": NEW, "1": OLD})
    assert [tokens.read(jwt.encode(claims, secret, "HS256"), now=NOW).sub for secret in (OLD, NEW)] == ["cus_1"] * 2
    with pytest.raises(Unauthenticated):
        tokens.read(jwt.encode(claims, "x" * 43, "HS256"), now=NOW)


@pytest.mark.parametrize("kid", ["2", "3", ""])
def test_a_kid_names_the_one_secret_that_counts(kid: str) -> None:
    token = jwt.encode({"sub": "cus_1", "aud": "portal", "exp": NOW + 60}, OLD, "HS256", headers={"kid": kid})
    with pytest.raises(Unauthenticated):
        LinkTokens({"2": NEW, "1": OLD}).read(token, now=NOW)


# ------------------------------------------------------------------ tokens as an attacker would make them: each is refu
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


def without_signature(algorithm: str) -> str:
    return (encoded({"alg": algorithm, "typ": "JWT"}) + b"." + encoded(good_claims()) + b".").decode()


@pytest.mark.parametrize("algorithm", ["none", "None", "NONE", "nOnE", ""])
def test_a_token_without_a_signature_opens_nothing(algorithm: str) -> None:
    assert refused(without_signature(algorithm)) == "bad_token"
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


# ------------------------------------------------------------------ what a link may name is what Stripe's own library n
def words(shape: type, name: str) -> set[str]:
    """The words that the library lists for a parameter."""
    hint: Any = _fields(shape)[name]
    if get_origin(hint) is NotRequired:
        (hint,) = get_args(hint)
    return {word for member in get_args(hint) if get_origin(member) is Literal for word in get_args(member)}


def test_every_flow_and_what_may_follow_it() -> None:
    # `pause` is the bundle's own.
    assert set(get_args(Flow)) == words(billing_portal.SessionCreateParamsFlowData, "type") | {"pause"}
    assert set(get_args(AfterCompletion)) == words(billing_portal.SessionCreateParamsFlowDataAfterCompletion, "type")


def test_every_language() -> None:
    assert set(PORTAL_LOCALES) == words(billing_portal.SessionCreateParams, "locale")
    assert set(CHECKOUT_LOCALES) <= words(checkout.SessionCreateParams, "locale")


@pytest.mark.parametrize(
    ("wishes", "found"),
    [
        ((), None),
        ((None, ""), None),
        (("fr-BE", "de"), "fr"),
        ((None, "xx", "de-CH"), "de"),
        (("auto", "de"), None),
        (("*",), None),
        (("xx;q=1, es-419;q=0.5, *;q=0.1",), "es-419"),
        (("en-AU",), "en-AU"),
        (("<script>",), None),
    ],
)
def test_the_first_wish_that_can_be_granted_is(wishes: tuple[str | None, ...], found: str | None) -> None:
    assert stripe_locale(wishes) == found


def test_checkout_has_less_english() -> None:
    assert stripe_locale(("en-AU",), CHECKOUT_LOCALES) == "en"
