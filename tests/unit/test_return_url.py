"""A return address is an allowed origin's, exactly, or nobody's."""

import pytest

from shared.return_url import is_allowed, origin_of

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
