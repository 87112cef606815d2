"""A return address is an allowed origin's, exactly, or nobody's."""

import string
from collections.abc import Iterable

import ada_url
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.errors import InvalidRequest
from shared.return_url import MAX_LENGTH, is_allowed, origin_of

ORIGINS = ("https://shop.example", "https://app.shop.example:8443", "http://127.0.0.1:8787")


@pytest.mark.parametrize(
    "url",
    [
        "https://shop.example",
        "https://shop.example/account?tab=billing#top",
        "https://shop.example:443/",
        "HTTPS://SHOP.EXAMPLE/",
        "https://app.shop.example:8443/x",
        "http://127.0.0.1:8787/",
        "https://shop.example//evil.example",
        "https://shop.example/?next=https://evil.example",
    ],
)
def test_addresses_of_an_allowed_origin_pass(url: str) -> None:
    assert is_allowed(url, ORIGINS)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "/account",
        "//shop.example/",
        "http://shop.example/",
        "https://shop.example:8443/",
        "https://app.shop.example/",
        "https://evil.example/",
        "https://shop.example.evil.example/",
        "https://evil.example/https://shop.example",
        "https://shop.example@evil.example/",
        "https://evil.example@shop.example/",
        "https://shop.example:pass@evil.example/",
        "https://shop.example\\@evil.example/",
        "https://evil.example\\.shop.example/",
        "https:shop.example",
        "https:///shop.example",
        "https:/\\shop.example",
        "https://shop.example\t.evil.example/",
        " https://shop.example/",
        "https://shop.example/\r\nLocation: https://evil.example",
        "https://shop.example%2eevil.example/",
        "https://shop.example%00.evil.example/",
        "https://shоp.example/",  # noqa: RUF001 - a Cyrillic letter is the point
        "https://shop.example。evil.example/",
        "https://[shop.example]/",
        "https://shop.example:99999/",
        "javascript:alert(1)//https://shop.example",
        "data:text/html,https://shop.example",
        "https://shop.example/" + "a" * 2048,
    ],
)
def test_everything_else_is_refused(url: str) -> None:
    assert not is_allowed(url, ORIGINS)


def test_an_origin_has_no_path_and_no_default_port() -> None:
    assert origin_of("https://Shop.Example:443/a/b?c#d") == "https://shop.example"
    assert origin_of("http://[::1]:3000/") == "http://[::1]:3000"


# ------------------------------------------------------------------ what passes leads to an allowed origin as a browser
BROWSER_ORIGINS = (
    "https://shop.example",
    "https://app.shop.example:8443",
    "https://xn--caf-dma.example",
    "http://127.0.0.1:8787",
    "http://[::1]:3000",
)


def browsers_origin(url: str) -> str | None:
    """The origin that a browser sees, for an address of its own or one in a page of another site."""
    try:
        return str(ada_url.URL(url, "https://evil.example/page").origin)
    except ValueError:
        return None


ATTACKS = [
    "https://shop.example@evil.example/",
    "https://shop.example:443@evil.example/",
    "https://shop.example%40evil.example/",
    "https://user:pass@shop.example/",
    "https://@shop.example/",
    "https://:@shop.example/",
    "https://shop.example\\@evil.example/",
    "https://shop.example\\.evil.example/",
    "https:\\\\shop.example/",
    "https:/\\shop.example/",
    "https://evil.example\\@shop.example/",
    "https://evil.example#@shop.example/",
    "https://evil.example?@shop.example/",
    "https://evil.example;@shop.example/",
    "https://evil.example\t.shop.example/",
    "https://evil.example/\n.shop.example/",
    "ht\ntps://shop.example/",
    "\x00https://shop.example/",
    "https://shop.example\x00.evil.example/",
    "//evil.example/",
    "///evil.example/",
    "/\\evil.example/",
    "\\\\evil.example/",
    "/%2f/evil.example",
    "%2f%2fevil.example",
    "https:evil.example",
    "https:///evil.example/",
    "https://shop.example./",
    "https://shop.example..evil.example/",
    "https://shop.example%2eevil.example/",
    "https://shop.example%2f@evil.example/",
    "https://shop%2eexample/",
    "https://%73hop.example/",
    "https://shop.example:0/",
    "https://shop.example:80/",
    "https://shop.example:8443/",
    "https://shop.example:/",
    "https://shop.example:443:443/",
    "https://shop.example:-443/",
    "https://shop.example:+443/",
    "https://shop.example: 443/",
    "https://shop.example:4 43/",
    "https://shop.example:65979/",
    "https://shop.example:\u0664\u0664\u0663/",
    "https://shop\u3002example/",
    "https://shop\uff0eexample/",
    "https://\uff53hop.example/",
    "https://\u017fhop.example/",
    "https://shop.ex\u00adample/",
    "https://shop.example\u2044.evil.example/",
    "https://shop.example\uff0f.evil.example/",
    "https://caf\u00e9.example/",
    "https://cafe\u0301.example/",
    "https://xn--caf-dma.example.evil.example/",
    "https://xn--caf-dmа.example/",  # noqa: RUF001 - the last letter is Cyrillic
    "https://[::ffff:7f00:1]:3000/",
    "https://[::1]:3000/",
    "http://[::1%25lo]:3000/",
    "http://[0:0:0:0:0:0:0:1]:3000/",
    "http://[::1]3000/",
    "http://[::1].evil.example:3000/",
    "http://::1:3000/",
    "http://127.1:8787/",
    "http://2130706433:8787/",
    "http://0x7f.0.0.1:8787/",
    "http://0177.0.0.1:8787/",
    "http://127.0.0.1.evil.example:8787/",
    "http://127.0.0.1:8787@evil.example/",
    "http://localhost:8787/",
    "http://shop.example/",
    "ws://shop.example/",
    "ftp://shop.example/",
    "javascript://shop.example/%0aalert(1)",
    "data://shop.example/,x",
    "blob:https://shop.example/1",
    "view-source:https://shop.example/",
    "filesystem:https://shop.example/x",
    "https://shop.example/\r\nLocation: https://evil.example",
    "https://shop.example/ https://evil.example",
    "https://shop.example/\u2028",
    "https://shop.example/" + "a" * 2048,
]


@pytest.mark.parametrize("url", ATTACKS)
def test_an_attack_is_refused(url: str) -> None:
    assert not is_allowed(url, BROWSER_ORIGINS)


@pytest.mark.parametrize(
    "url",
    [
        "https://shop.example/%2e%2e/%2f%2fevil.example",
        "https://shop.example//evil.example",
        "https://shop.example/..//evil.example",
        "https://shop.example/@evil.example",
        "https://shop.example?u=https://evil.example",
        "https://shop.example#@evil.example",
        "https://shop.example/%0d%0aLocation:%20https://evil.example",
        "https://SHOP.example:443/",
        "HTTPS://shop.EXAMPLE",
        "https://shop.example:0443/",
        "https://xn--caf-dma.example/",
        "https://XN--CAF-DMA.example/",
        "http://[::1]:3000/",
    ],
)
def test_what_looks_like_one_and_is_ours_is_taken(url: str) -> None:
    assert is_allowed(url, BROWSER_ORIGINS)
    assert browsers_origin(url) in BROWSER_ORIGINS


UNPLEASANT = [
    *("", *"@:/\\?#%.;,[]- \t\n\r\x00_~!$&'(*+=|^`{<"),
    *("//", "..", "%2f", "%5c", "%40", "%00", "[::1]", "xn--", "0x7f", "443", ":443", ":80", ":8443"),
    *("\u3002", "\uff0f", "\uff20", "\u00ad", "\u0430", "\u212a"),
    *("https:", "http://", "javascript:", "evil.example", "@evil.example", ".evil.example", "evil.example/"),
    "shop.example",
]


def mutated(urls: Iterable[str]) -> st.SearchStrategy[str]:
    """Addresses cut at any two places, with something unpleasant put in between."""
    unpleasant = st.sampled_from(UNPLEASANT)
    pieces = st.lists(unpleasant, min_size=1, max_size=4).map("".join)

    def cut(url: str) -> st.SearchStrategy[str]:
        places = st.tuples(st.integers(0, len(url)), st.integers(0, len(url))).map(sorted)
        return st.tuples(places, pieces).map(lambda both: url[: both[0][0]] + both[1] + url[both[0][1] :])

    return st.sampled_from([f"{origin}{path}" for origin in urls for path in ("", "/", "/a?b#c")]).flatmap(cut)


MESSY = st.text(
    alphabet=string.ascii_lowercase + string.digits + ":/\\@?#[]%.-_~ \t\n\r\x00\u3002\uff0f\u00e9", max_size=60
)


@settings(max_examples=1500)
@given(st.one_of(mutated(BROWSER_ORIGINS), MESSY.map(lambda rest: f"https://{rest}"), MESSY, st.text(max_size=40)))
def test_no_address_passes_that_a_browser_reads_as_another_origin(url: str) -> None:
    if is_allowed(url, BROWSER_ORIGINS):
        assert browsers_origin(url) in BROWSER_ORIGINS


@settings(max_examples=500)
@given(mutated(BROWSER_ORIGINS))
def test_an_origin_that_we_read_is_the_one_that_a_browser_reads(url: str) -> None:
    """Also of addresses that nobody allows: whatever list an operator writes, both mean the same by it."""
    try:
        ours = origin_of(url)
    except InvalidRequest:
        return
    theirs = browsers_origin(url)
    # What a browser takes for no address, or writes in another way, matches no list that holds browsers' origins.
    assert theirs in {ours, None} or browsers_origin(ours) == theirs


@given(
    st.sampled_from(BROWSER_ORIGINS),
    st.text(alphabet=string.ascii_letters + string.digits + "-._~/%?#=&", max_size=100),
)
def test_every_plain_page_of_an_allowed_origin_passes(origin: str, rest: str) -> None:
    assert is_allowed(f"{origin}/{rest}", BROWSER_ORIGINS)


def test_an_address_may_be_2048_characters_long_and_no_longer() -> None:
    longest = "https://shop.example/".ljust(MAX_LENGTH, "a")
    assert origin_of(longest) == "https://shop.example"
    with pytest.raises(InvalidRequest, match="return_url must be a plain absolute https address") as caught:
        origin_of(longest + "a")
    assert caught.value.code == "bad_return_url"
