"""What Stripe refuses, in the visitor's words on the page, in both languages."""

from dataclasses import dataclass, replace
from typing import Any

import pytest

from local.stripe_simulator.resources import status
from shared.pausing.history import PauseRecord, PauseState
from shared.pausing.refusals import why_it_does_not_return, why_it_failed
from tests.integration.pausing_world import DAY, Outcome, World, pauses, world
from tests.integration.simulator_fixtures import server
from tests.integration.test_pause_page import Browser, browser, day

__all__ = ["browser", "pauses", "server", "world"]

FAILED = PauseRecord(
    "sub_1", "cus_1", "o", "i", "subscription", PauseState.FAILED, "period_end", 0, 1, 1, "2027-04-02", "none", 0,
    "customer", failure="stripe_refused",
)  # fmt: skip


@dataclass(frozen=True)
class Case:
    """What Stripe says, and what the visitor reads."""

    stripe: str
    code: str
    english: str
    french: str


# Stripe documents its reasons and not its sentences: these have the names of its fields, as its other refusals do.
CASES = [
    Case(
        "You can only schedule pauses of subscriptions with `collection_method` set to `charge_automatically`.",
        "send_invoice",
        "This subscription is paid by invoice. Ask us: we can help you.",
        "Cet abonnement est payé sur facture. Contactez-nous",
    ),
    Case(
        "You can only pause subscriptions with `billing_mode` set to `flexible`.",
        "classic_billing_mode",
        "This subscription is billed in a way that does not allow it. Ask us: we can help you.",
        "Le mode de facturation de cet abonnement ne le permet pas.",
    ),
    Case(
        "You cannot pause a subscription that is in a trial.",
        "trial",
        "A trial cannot be paused. Try again once the trial has ended.",
        "ne peut pas être mise en pause. Réessayez après la période",
    ),
    Case(
        "This subscription has an active trial offer.",
        "trial",
        "A trial cannot be paused. Try again once the trial has ended.",
        "ne peut pas être mise en pause. Réessayez après la période",
    ),
    Case(
        "You cannot pause a subscription with status `unpaid`.",
        "payment_overdue",
        "A payment for this subscription is overdue. Pay it first, then you can pause.",
        "Un paiement de cet abonnement est en retard.",
    ),
    Case(
        "You cannot pause a subscription with status `incomplete`.",
        "subscription_over",
        "This subscription is not running, so there is nothing to pause.",
        "rien à mettre en pause",
    ),
    Case(
        "No such subscription: 'sub_1'",
        "subscription_over",
        "This subscription is not running, so there is nothing to pause.",
        "rien à mettre en pause",
    ),
    Case(
        "You cannot pause a subscription with status `paused`.",
        "paused_elsewhere",
        "This subscription is paused already. Ask us if you want to change that pause.",
        "Cet abonnement est déjà en pause.",
    ),
    Case(
        "You cannot pause a subscription that has a subscription schedule attached.",
        "schedule",
        "A change of this subscription is planned already. Ask us: we can help you.",
        "Une modification de cet abonnement est déjà prévue.",
    ),
    Case(
        "You cannot pause a subscription that has a billing cadence attached.",
        "billing_cadence",
        "This subscription is billed together with others. Ask us: we can help you.",
        "Cet abonnement est facturé avec",
    ),
    Case(
        "You cannot pause a subscription with active `billing_schedules`.",
        "billing_cadence",
        "This subscription is billed together with others. Ask us: we can help you.",
        "Cet abonnement est facturé avec",
    ),
    Case(
        "`resume_at` must be after `pause_at`.",
        "bad_dates",
        "The dates of this pause do not suit this subscription. Choose another date of return.",
        "Les dates de cette pause ne conviennent pas à cet abonnement.",
    ),
    Case(
        "Something that nobody has heard of.",
        "cannot_pause",
        "This subscription cannot be paused in its present state. Ask us: we can help you.",
        "Contactez-nous",
    ),
]


def refuse(world: World, path: str, words: str) -> None:
    fault = {"status": 400, "method": "POST", "path": path, "message": words}
    world.simulator.admin("POST", "faults", {"fail": [fault]})


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.stripe[:50])
def test_each_reason_has_its_code_and_its_words(case: Case) -> None:
    refusal = why_it_failed(replace(FAILED, failure_detail=case.stripe))
    said = {
        language: f"{refusal.why.say(language)} {refusal.lifted_by.say(language) if refusal.lifted_by else ''}".strip()
        for language in ("en", "fr")
    }
    assert (refusal.code, said["en"]) == (case.code, case.english)
    assert case.french in said["fr"]


def test_the_page_gives_each_reason_in_both_languages(world: World, browser: Browser) -> None:
    subscription = world.subscribe()
    buttons = {"en": ("Continue", "Pause my subscription"), "fr": ("Continuer", "Mettre mon abonnement en pause")}
    for case in CASES:
        for language, (proceed, confirm) in buttons.items():
            browser.visit = replace(browser.visit, language=language)
            browser.open()
            browser.press(proceed, resume_on=day(world, 60))
            refuse(world, "/v1/subscription_schedules", case.stripe)
            text = browser.press(confirm)
            assert (case.english if language == "en" else case.french) in text
            # Stripe's own words are for the team.
            assert case.stripe not in text
    assert world.record(subscription).failure_detail == CASES[-1].stripe


def test_every_refusal_that_the_simulator_knows_is_recognised() -> None:
    """It was written from Stripe's pages by itself."""
    good: dict[str, Any] = {
        "status": "active",
        "collection_method": "charge_automatically",
        "billing_mode": {"type": "flexible"},
        "schedule": None,
    }
    statuses = ("paused", "incomplete", "incomplete_expired", "canceled", "unpaid", "trialing")
    changes: list[dict[str, Any]] = [{"status": each} for each in statuses]
    changes += [{"collection_method": "send_invoice"}, {"billing_mode": {"type": "classic"}}]
    changes += [{"schedule": "sub_sched_1"}, {"billing_cadence": "bc_1"}]
    for change in changes:
        for words in status.pause_refusals(good | change):
            assert why_it_failed(replace(FAILED, failure_detail=words)).code != "cannot_pause", words


def test_a_date_that_stripe_refuses_leaves_the_pause_as_it_was(world: World, browser: Browser) -> None:
    subscription = world.subscribe()
    world.pause(subscription, world.day(60))
    browser.open()
    browser.press("Continue", resume_on=day(world, 75))
    refuse(world, "/v1/subscription_schedules", "No, because.")
    text = browser.press("Change the date")
    assert "The date of return cannot be changed. Ask us: we can help you." in text
    assert "This subscription is going to be paused." in text
    assert world.record(subscription).asked_resume == day(world, 60)


def test_a_resume_that_stripe_refuses_says_so(world: World, browser: Browser) -> None:
    """Not that it takes a few minutes."""
    subscription = world.subscribe()
    world.pause(subscription, world.day(90))
    world.pass_time(world.period_end(subscription) + DAY)
    world.release(subscription)
    browser.open()
    refuse(world, f"/v1/subscriptions/{subscription}/resume", "You can only resume with `collection_method` set to ...")
    result = world.resume(subscription)
    assert (result.outcome, [each.code for each in result.refusals]) == (Outcome.UNDERWAY, ["send_invoice"])
    text = browser.open()
    assert "This subscription has not returned yet, and there is no service until it does." in text
    assert "This subscription is paid by invoice. Ask us: we can help you." in text
    assert "few minutes" not in text
    unknown = why_it_does_not_return(replace(world.record(subscription), failure_detail="No, because."))
    assert unknown is not None
    assert unknown.code == "cannot_resume"
    assert why_it_does_not_return(replace(world.record(subscription), failure_detail=None)) is None


def test_a_pause_that_stripe_did_not_carry_out_is_not_passed_over(world: World, browser: Browser) -> None:
    subscription = world.subscribe()
    world.pause(subscription, world.day(60))
    world.stripe.v1.subscriptions.update(subscription, {"collection_method": "send_invoice", "days_until_due": 14})
    world.pass_time(world.record(subscription).begins + DAY)
    assert world.record(subscription).failure in {"pause_error", "not_paused_in_time"}
    text = browser.open()
    assert "Your pause of 1 March 2027 did not begin, and your subscription went on." in text
