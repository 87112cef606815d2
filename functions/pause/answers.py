"""What customers ask of the pause function, and the JSON of the answers."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import date
from functools import partial
from typing import Any

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError
from stripe import StripeClient

from functions.pause.caller import Caller
from functions.pause.portal_pause import PortalPause, PortalPauses
from functions.pause.settings import PauseSettings
from shared.errors import InvalidRequest
from shared.identity import Identity, customer_of_user, identity_of_token, identity_of_user, text_claim
from shared.link_token import PAUSE_AUDIENCE, CustomerId, LinkClaims, bearer_token, with_link_secrets
from shared.pausing.history import CUSTOMER, PauseRecord
from shared.pausing.operations import PauseResult, PauseView, Pausing
from shared.pausing.plan import Begin, PauseRequest
from shared.pausing.policy import PausePolicy, PauseReasonCode, PauseRefusal
from shared.secret_store import LinkSecrets, SecretStore

_customer_id = TypeAdapter(CustomerId)


class PauseBody(BaseModel):
    """What a customer asks for: the day of return, and whether the pause begins at once (`now`)."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    resume_on: date
    begin: Begin = Begin.PERIOD_END
    reason: PauseReasonCode | None = None


@dataclass(frozen=True, slots=True)
class PauseAnswers:
    """Answers the requests; made once per execution environment."""

    settings: PauseSettings
    link_secrets: SecretStore[LinkSecrets]
    pausing: Pausing
    portal_pauses: PortalPauses
    client: Callable[[], StripeClient]
    clock: Callable[[], float] = time.time

    def caller(self, claims: Mapping[str, Any] | None, authorization: str | None, query: Mapping[str, str]) -> Caller:
        """Return who asks: a signed-in user, whose `claims` API Gateway has verified, or the holder of a pause token.

        `customer` in the query picks one of several; nobody can name a customer that is not theirs.
        """
        identity = self._identity(claims, authorization)
        wanted = query.get("customer")
        try:
            return self._caller(identity, wanted and _customer_id.validate_python(wanted))
        except ValidationError:
            raise InvalidRequest("bad_request", "These fields are wrong: customer") from None

    def holder(self, token: str) -> Caller:
        """Return who opened the page. Raises `Unauthenticated` unless the token is a pause token, and not expired."""
        return self._caller(self._of_token(token), None)

    def list(self, caller: Caller, language: str) -> dict[str, Any]:
        """Return the caller's subscriptions that have not ended, as the API shows them."""
        found = self.pausing.views(caller.customer, caller.policy, only=caller.only)
        offers = self.portal_pauses.offers(caller, found.views)
        listed = [view_json(each, offers.get(each.at.subscription.id), caller.policy, language) for each in found.views]
        return {"subscriptions": listed, "has_more": found.has_more}

    def pause(self, caller: Caller, subscription: str, body: bytes) -> PauseResult:
        """Pause, or change the date of return."""
        try:
            asked = PauseBody.model_validate_json(body or b"{}")
        except ValidationError as error:
            names = sorted({".".join(map(str, each["loc"]))[:40] or "the body" for each in error.errors()})
            raise InvalidRequest("bad_request", f"These fields are wrong: {', '.join(names[:10])}") from None
        return self.pausing.pause(
            caller.checked(subscription),
            PauseRequest(asked.resume_on, asked.begin, asked.reason, group=caller.group),
            customer=caller.customer,
            actor=CUSTOMER,
            policy=caller.policy,
        )

    def end(self, caller: Caller, subscription: str, action: str) -> PauseResult:
        """Resume, undo or release."""
        act = {"resume": self.pausing.resume, "undo": self.pausing.undo, "release": self.pausing.release}[action]
        return act(caller.checked(subscription), customer=caller.customer, actor=CUSTOMER)

    def _caller(self, identity: Identity, customer: str | None) -> Caller:
        group = self.settings.known_group(identity.group)
        only = identity.limits.subscription
        return Caller(identity.pick(customer), self.settings.policy_of(group), only, group, identity.locale)

    def _identity(self, claims: Mapping[str, Any] | None, authorization: str | None) -> Identity:
        if claims is not None:
            find = partial(customer_of_user, self.client(), create_missing=False)
            identity = identity_of_user(claims, self.settings, find)
            return replace(identity, group=text_claim(claims, self.settings.group_claim))
        return self._of_token(bearer_token(authorization))

    def _of_token(self, token: str) -> Identity:
        now = self.clock()

        def read(tokens: Any) -> LinkClaims:
            found: LinkClaims = tokens.read(token, now=now)
            return found

        return identity_of_token(with_link_secrets(self.link_secrets, PAUSE_AUDIENCE, read, now=now))


def pause_json(record: PauseRecord | None) -> dict[str, Any] | None:
    """Return a pause as the API shows it; times are Unix seconds."""
    if record is None:
        return None
    return {
        "kind": record.kind,
        "why_not_real": list(record.why_not_real),
        "state": record.state.value,
        "outcome": record.outcome,
        "begin": record.begin,
        "begins": record.begins,
        "resumes": record.resumes if record.has_return else None,
        "next_charge": record.next_charge if record.has_return else None,
        "asked_resume": record.asked_resume or None,
        "unused_time": record.unused_time,
        "reason": record.reason,
        "waiting": record.waiting,
        "failure": record.failure,
    }


def refusals_json(refusals: tuple[PauseRefusal, ...], language: str) -> list[dict[str, Any]]:
    """Return why something is refused, in the caller's language."""
    return [
        {
            "code": each.code,
            "detail": each.why.say(language),
            "lifted_by": each.lifted_by.say(language) if each.lifted_by else None,
            "allowed_from": each.allowed_from,
        }
        for each in refusals
    ]


def result_json(result: PauseResult, language: str) -> dict[str, Any]:
    """Return what became of a request."""
    return {
        "outcome": result.outcome.value,
        "pause": pause_json(result.record),
        "reasons": refusals_json(result.refusals, language),
        "payment_page": result.payment_page,
    }


def view_json(view: PauseView, portal_pause: PortalPause | None, policy: PausePolicy, language: str) -> dict[str, Any]:
    """Return a subscription with its pause, and what a pause of it would be, here or in the portal."""
    subscription, offer = view.at.subscription, view.offer
    return {
        "id": subscription.id,
        "status": subscription.status,
        "current_period_end": subscription.current_period_end,
        "pause": pause_json(view.record),
        "offer": offer
        and {
            "kind": offer.kind,
            "why_not_real": [reason.code for reason in offer.why_not_real],
            "begins": offer.begins,
            "first_day": view.first_day and view.first_day.isoformat(),
            "last_day": view.last_day and view.last_day.isoformat(),
            "now": policy.pause_now if offer.kind == "subscription" else "never",
            "reasons": list(policy.pause_reasons),
        },
        "refusals": refusals_json(view.refusals, language),
        "portal_pause": portal_pause
        and {"url": portal_pause.url, "lengths": [each.model_dump() for each in portal_pause.lengths]},
    }
