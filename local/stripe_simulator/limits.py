"""Limits on parameters that hold whatever the operation: lengths, ranges, metadata, addresses, currencies.

The numbers are those of Stripe's API reference and of its OpenAPI document. The messages are Stripe's where people have
reported them; the others follow the same form.
"""

import math
import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit

from local.stripe_simulator.errors import ApiError

MOST_METADATA_KEYS = 50
# Customers of a test clock, and subscriptions of each (docs.stripe.com/billing/testing/test-clocks/api-advanced-usage).
MOST_AT_TEST_CLOCK = 3
_LONGEST_METADATA_KEY = 40
_LONGEST_METADATA_VALUE = 500
LARGEST_AMOUNT = 99_999_999
_MOST_DECIMAL_PLACES = 12
_LARGEST_INTEGER = 2**63 - 1
# The year 2286; Stripe's own bound is not documented.
LAST_TIMESTAMP = 9_999_999_999
_LONGEST_URL = 2048
_LONGEST_STRING = 5000
# Shorter ones, and one longer, by name or by the operation's collection and name.
_LENGTHS = {
    "business_name": 150,
    "client_reference_id": 200,
    "custom_message": 500,
    "email": 512,
    "headline": 60,
    "individual_name": 150,
    "lookup_key": 200,
    "phone": 20,
    "statement_descriptor": 22,
    "unit_label": 12,
    "billing_portal/configurations name": 256,
    "coupons name": 40,
    "customers name": 256,
    "entitlements/features lookup_key": 80,
    "products description": 40_000,
    "subscriptions description": 500,
}
# docs.stripe.com/currencies, with the three-decimal currencies that only some countries' accounts may use.
_CURRENCIES = (
    "usd, aed, afn, all, amd, ang, aoa, ars, aud, awg, azn, bam, bbd, bdt, bgn, bhd, bif, bmd, bnd, bob, brl, bsd, "
    "bwp, byn, bzd, cad, cdf, chf, clp, cny, cop, crc, cve, czk, djf, dkk, dop, dzd, egp, etb, eur, fjd, fkp, gbp, "
    "gel, gip, gmd, gnf, gtq, gyd, hkd, hnl, htg, huf, idr, ils, inr, isk, jmd, jod, jpy, kes, kgs, khr, kmf, krw, "
    "kwd, kyd, kzt, lak, lbp, lkr, lrd, lsl, mad, mdl, mga, mkd, mmk, mnt, mop, mur, mvr, mwk, mxn, myr, mzn, nad, "
    "ngn, nio, nok, npr, nzd, omr, pab, pen, pgk, php, pkr, pln, pyg, qar, ron, rsd, rub, rwf, sar, sbd, scr, sek, "
    "sgd, shp, sle, sos, srd, std, szl, thb, tjs, tnd, top, try, ttd, twd, tzs, uah, ugx, uyu, uzs, vnd, vuv, wst, "
    "xaf, xcd, xof, xpf, yer, zar, zmw"
)
_EMAIL = re.compile(r"[^\s@<>(),;:\"\[\]\\]+@[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?\.[A-Za-z]{2,}")
# The longest recurring interval is three years.
_MOST_INTERVALS = {"day": 1095, "week": 156, "month": 36, "year": 3}


def check_limits(params: dict[str, Any], collection: str, path: str = "") -> None:
    """Raise Stripe's error for the first value that is out of range, in typed parameters of an operation.

    `collection` is where the operation's path begins, such as `billing_portal/configurations`.
    """
    for name, value in params.items():
        _check(value, name, collection, f"{path}[{name}]" if path else name)
    if "interval" in params and path.endswith(("recurring]", "recurring", "duration]")):
        _check_interval(params, path)


def _check(value: Any, name: str, collection: str, param: str) -> None:
    if name == "metadata" and isinstance(value, dict):
        check_metadata(value, param)
    elif isinstance(value, dict):
        check_limits(value, collection, param)
    elif isinstance(value, list):
        for place, item in enumerate(value):
            # Items of a list have no name of their own, so that only limits of every value apply to them.
            _check(item, "", collection, f"{param}[{place}]")
    elif isinstance(value, float):
        _check_number(value, name, param)
    elif isinstance(value, int) and not isinstance(value, bool):
        _check_integer(value, name, param)
    elif isinstance(value, str) and value:
        _check_text(value, name, collection, param)


def check_metadata(metadata: dict[str, str], param: str = "metadata") -> None:
    """Raise Stripe's error for too many keys, or for one that is too long or has too long a value."""
    if len(metadata) > MOST_METADATA_KEYS:
        raise ApiError(
            f"Metadata can have up to {MOST_METADATA_KEYS} keys, but you've set {len(metadata)}. "
            "Email us at support+metadata@stripe.com for more information.",
            param=param,
        )
    for key, value in metadata.items():
        if len(key) > _LONGEST_METADATA_KEY:
            raise ApiError(
                f"Metadata keys can have up to {_LONGEST_METADATA_KEY} characters, "
                f"but you passed in a key that is {len(key)} characters. Invalid key: {key}",
                param=param,
            )
        if len(value) > _LONGEST_METADATA_VALUE:
            raise ApiError(
                f"Metadata values can have up to {_LONGEST_METADATA_VALUE} characters, "
                f"but you passed in a value that is {len(value)} characters. Invalid value: {value}",
                param=f"{param}[{key}]",
            )


_LEAST = {
    "amount_off": 1,
    "days_until_due": 0,
    "duration_in_months": 1,
    "interval_count": 1,
    "max_redemptions": 1,
    "maximum": 0,
    "minimum": 0,
    "quantity": 0,
    "trial_period_days": 1,
    "unit_amount": 0,
}
_AMOUNTS = {"amount_off", "unit_amount"}
_TIMESTAMPS = {
    *("backdate_start_date", "billing_cycle_anchor", "cancel_at", "end_date", "expires_at", "frozen_time"),
    *("proration_date", "redeem_by", "resumes_at", "start_date", "timestamp", "trial_end"),
}


def _check_integer(value: int, name: str, param: str) -> None:
    if abs(value) > _LARGEST_INTEGER:
        raise ApiError(f"Invalid integer: {value}", code="parameter_invalid_integer", param=param)
    if value < _LEAST.get(name, value):
        raise _out_of_range(f"greater than or equal to {_LEAST[name]}", param)
    if name in _AMOUNTS and value > LARGEST_AMOUNT:
        raise _too_large(param)
    if name in _TIMESTAMPS and not 0 <= value <= LAST_TIMESTAMP:
        raise ApiError(f"Invalid timestamp: {value}", code="parameter_invalid_integer", param=param)


def _out_of_range(bound: str, param: str) -> ApiError:
    return ApiError(f"This value must be {bound}.", code="parameter_invalid_integer", param=param)


def _too_large(param: str) -> ApiError:
    return ApiError("Amount must be no more than $999,999.99", code="amount_too_large", param=param)


def _check_interval(given: dict[str, Any], path: str) -> None:
    most = _MOST_INTERVALS[given["interval"]]
    if given.get("interval_count", 1) > most:
        raise _out_of_range(f"less than or equal to {most}", f"{path}[interval_count]")


def _check_text(value: str, name: str, collection: str, param: str) -> None:
    check = _TEXT_CHECKS.get(name)
    if check is not None:
        check(value, param)
    longest = _LENGTHS.get(f"{collection} {param}") or _LENGTHS.get(name, _LONGEST_STRING)
    if len(value) > longest:
        shown = f"{value[:10]}...{value[-10:]}"
        raise ApiError(f"Invalid string: {shown}; must be at most {longest} characters", param=param)


def _check_email(value: str, param: str) -> None:
    if not _EMAIL.fullmatch(value) or ".." in value:
        raise ApiError(f"Invalid email address: {value}", code="email_invalid", param=param)


def _check_currency(value: str, param: str) -> None:
    if value.lower() not in _CURRENCIES.split(", "):
        message = f"Invalid currency: {value}. Stripe currently supports these currencies: {_CURRENCIES}"
        raise ApiError(message, param=param)


def _check_url(value: str, param: str) -> None:
    try:
        parts = urlsplit(value)
    except ValueError:
        parts = urlsplit("")
    if not parts.scheme:
        message = "Invalid URL: An explicit scheme (such as https) must be provided."
    elif parts.scheme not in {"http", "https"} or not parts.hostname or re.search(r"\s", value):
        message = "Not a valid URL. URLs must begin with https:// (or http:// in test mode)."
    elif len(value) > _LONGEST_URL:
        message = f"Invalid URL: URL must be {_LONGEST_URL} characters or less."
    else:
        return
    raise ApiError(message, code="url_invalid", param=param)


def _check_decimal_amount(value: str, param: str) -> None:
    amount = Decimal(value)
    exponent = amount.as_tuple().exponent
    if not isinstance(exponent, int):
        raise ApiError(f"Invalid decimal: {value}", param=param)
    if amount < 0:
        raise ApiError("This value must be greater than or equal to 0.", param=param)
    if amount >= LARGEST_AMOUNT + 1:
        raise _too_large(param)
    if -exponent > _MOST_DECIMAL_PLACES:
        raise ApiError(
            f"Invalid decimal: {value}; must contain at maximum {_MOST_DECIMAL_PLACES} decimal places.", param=param
        )


def _check_number(value: float, name: str, param: str) -> None:
    if not math.isfinite(value):
        raise ApiError(f"Invalid decimal: {value}", param=param)
    if name == "percent_off" and not 0 < value <= 100:  # noqa: PLR2004 - a percentage
        bound = "greater than 0" if value <= 0 else "less than or equal to 100"
        raise ApiError(f"This value must be {bound}.", param=param)


_TEXT_CHECKS: dict[str, Callable[[str, str], None]] = {
    "cancel_url": _check_url,
    "currency": _check_currency,
    "customer_email": _check_email,
    "default_return_url": _check_url,
    "email": _check_email,
    "privacy_policy_url": _check_url,
    "return_url": _check_url,
    "success_url": _check_url,
    "terms_of_service_url": _check_url,
    "unit_amount_decimal": _check_decimal_amount,
    "url": _check_url,
}
