"""Portal sessions: the short-lived links to the hosted portal."""

from typing import Any
from urllib.parse import urlsplit

from local.stripe_simulator import portal_configurations
from local.stripe_simulator.errors import ApiError, missing
from local.stripe_simulator.events import emit
from local.stripe_simulator.ids import new_id, token
from local.stripe_simulator.portal_flows import build_flow
from local.stripe_simulator.simulator import Call, Visit
from local.stripe_simulator.store import StripeObject

_NO_DEFAULT = (
    "No configuration provided and your test mode default configuration has not been created. "
    "Provide a configuration or create your default by saving your customer portal settings in test mode "
    "at https://dashboard.stripe.com/test/settings/billing/portal."
)


def create(call: Call) -> StripeObject:
    """`POST /v1/billing_portal/sessions`."""
    params = call.params
    if "customer" not in params:
        raise missing("customer")
    call.store.customers.get(params["customer"], "customer")
    configuration = _configuration(call)
    if "return_url" in params:
        check_url(params["return_url"], "return_url")
    key = f"test_{token(40)}"
    session: StripeObject = {
        "id": new_id("bps"),
        "object": "billing_portal.session",
        "after_expiration": _after_expiration(params.get("after_expiration")),
        "configuration": configuration["id"],
        "created": call.now,
        "customer": params["customer"],
        "customer_account": None,
        "flow": build_flow(call, params["flow_data"], configuration) if "flow_data" in params else None,
        "livemode": False,
        "locale": params.get("locale"),
        "on_behalf_of": params.get("on_behalf_of"),
        "return_url": params.get("return_url") or configuration["default_return_url"],
        "url": f"{call.simulator.public_url}/p/session/{key}",
    }
    call.store.portal_sessions.add(session)
    call.simulator.visits[key] = Visit(session, call.now)
    emit(call, "billing_portal.session.created", session)
    return session


def check_url(url: str, param: str) -> None:
    """Refuse what is no absolute web address."""
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        message = "Not a valid URL. URLs must begin with https:// (or http:// in test mode)."
        raise ApiError(message, code="url_invalid", param=param)


def _configuration(call: Call) -> StripeObject:
    named = call.params.get("configuration")
    if named:
        configuration = call.store.configurations.get(named, "configuration")
    else:
        found = portal_configurations.default(call)
        if found is None:
            raise ApiError(_NO_DEFAULT)
        configuration = found
    if not configuration["active"]:
        text = f"The configuration {configuration['id']} is inactive. Activate it or provide another configuration."
        raise ApiError(text, param="configuration")
    return configuration


def _after_expiration(given: dict[str, Any] | None) -> StripeObject | None:
    if given is None:
        return None
    return {"type": given["type"], "customer_login": {"expires_at": None, **given.get("customer_login", {})}}
