"""The portal's hosted login page: an e-mail address, a code, a session."""

import secrets

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from local.stripe_simulator.hosted_pages import fields, message, render, visitor
from local.stripe_simulator.portal import sessions as portal_sessions
from local.stripe_simulator.resources.status import ENDED
from local.stripe_simulator.simulator import Call
from local.stripe_simulator.store import StripeObject

_CODE_SECONDS = 10 * 60


async def login(request: Request) -> Response:
    """Ask for the e-mail address, then for the code; the page is the same whether or not there is such a customer."""
    call, form = visitor(request), fields(await request.form())
    configuration = _configuration(call, request.path_params["token"])
    if configuration is None:
        return message("This page is not active", "Please ask the business for a new link.", 404)
    email = form.get("email", "").strip()
    if not email:
        return render(
            "stripe_login.html", email=request.query_params.get("prefilled_email", ""), step="email", error=""
        )
    if "code" not in form:
        _issue_code(call, email, configuration["id"])
        return render("stripe_login.html", email=email, step="code", error="")
    customer = _redeem(call, email, form["code"].strip(), configuration["id"])
    if customer is None:
        return render("stripe_login.html", 400, email=email, step="code", error="This code is not valid.")
    session = portal_sessions.create(call.about("", customer=customer, configuration=configuration["id"]))
    call.simulator.visits[session["url"].rpartition("/")[2]].by_login = True
    return RedirectResponse(session["url"], 303)


def _configuration(call: Call, token: str) -> StripeObject | None:
    configurations = call.store.configurations
    for _, _, configuration_id in configurations.positions():
        configuration = configurations.get(configuration_id)
        page = configuration["login_page"]
        if configuration["active"] and page["enabled"] and page["url"].endswith(f"/{token}"):
            return configuration
    return None


def _issue_code(call: Call, email: str, configuration: str) -> None:
    """List a code at the admin endpoint, where Stripe would send it by e-mail."""
    customer = find_customer(call, email)
    if customer:
        code = f"{secrets.randbelow(10**6):06}"
        entry = {"email": email, "code": code, "customer": customer, "configuration": configuration}
        call.simulator.login_codes.append({**entry, "created": call.now})


def find_customer(call: Call, email: str) -> str | None:
    """Return the most recent customer with that address and a subscription that has not ended."""
    customers, subscriptions = call.store.customers, call.store.subscriptions
    for _, _, customer in reversed(customers.positions()):
        known = customers.get(customer)["email"]
        alive = (one["status"] not in ENDED for one in subscriptions.of_customer(customer))
        if known and known.lower() == email.lower() and any(alive):
            return customer
    return None


def _redeem(call: Call, email: str, code: str, configuration: str) -> str | None:
    for entry in call.simulator.login_codes:
        matches = (entry["email"], entry["code"], entry["configuration"]) == (email, code, configuration)
        if matches and call.now - entry["created"] < _CODE_SECONDS:
            call.simulator.login_codes.remove(entry)
            return str(entry["customer"])
    return None


ROUTES = [Route("/p/login/{token}", login, methods=["GET", "POST"])]
