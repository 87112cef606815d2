"""Why a pause, another date of return or a resume is not possible, in the visitor's words.

What is seen before Stripe is asked has a code of ours. What Stripe refuses is recognised by the names of Stripe's own
fields and states in its answer: the reasons are documented, their sentences are not
(docs.stripe.com/billing/subscriptions/pause and its page about schedules). What is not recognised gets general words;
Stripe's own stay in the record, for the team.
"""

import re

from shared.i18n import _
from shared.pausing.history import PauseRecord, PauseState
from shared.pausing.policy import PauseRefusal

ASK_US = _("Ask us: we can help you.")

OVER = PauseRefusal("subscription_over", _("This subscription is not running, so there is nothing to pause."))
OVERDUE = PauseRefusal(
    "payment_overdue", _("A payment for this subscription is overdue."), _("Pay it first, then you can pause.")
)
PAUSED_ELSEWHERE = PauseRefusal(
    "paused_elsewhere", _("This subscription is paused already."), _("Ask us if you want to change that pause.")
)
CANCELING = PauseRefusal(
    "canceling",
    _("This subscription is set to be canceled."),
    _("Withdraw the cancellation first, then you can pause."),
)
CANNOT_PAUSE = PauseRefusal("cannot_pause", _("This subscription cannot be paused in its present state."), ASK_US)
ALREADY_SET = PauseRefusal(
    "already_set",
    _("This subscription has a pause already, which has not begun."),
    _("Undo it first, then one can begin at once."),
)
ALREADY_BEGUN = PauseRefusal("already_begun", _("This pause has begun already."), _("You can resume instead."))
INVOICE_VOIDED = PauseRefusal(
    "invoice_voided",
    _("Because of the pause, a change of your subscription was not charged. So the pause cannot be undone here."),
    ASK_US,
)
ABOUT_TO_RESUME = PauseRefusal("about_to_resume", _("This subscription is about to resume."))
NOT_PAUSED = PauseRefusal("not_paused", _("This subscription is not paused."))
OUR_PAUSE = PauseRefusal("paused_elsewhere", _("It has a pause of this deployment."), _("See `portal pauses`."))

# The failures of a pause that Stripe accepted and did not begin.
NOT_BEGUN = frozenset({"not_paused_in_time", "pause_error"})

_OURS = {
    each.code: each
    for each in (
        OVER,
        PAUSED_ELSEWHERE,
        CANCELING,
        PauseRefusal("changed_meanwhile", _("This subscription has changed meanwhile.")),
        PauseRefusal("resume_begun", ABOUT_TO_RESUME.why),
        PauseRefusal("too_late", _("This subscription is about to renew.")),
        PauseRefusal("undo_too_late", ALREADY_BEGUN.why),
        PauseRefusal("not_paused_in_time", _("Our payment service did not carry it out."), ASK_US),
    )
}
# By what Stripe's answer names; the first that is found counts.
_STRIPES = (
    (
        r"cadence|billing.schedule",
        PauseRefusal("billing_cadence", _("This subscription is billed together with others."), ASK_US),
    ),
    (r"trial", PauseRefusal("trial", _("A trial cannot be paused."), _("Try again once the trial has ended."))),
    (
        r"collection_method|send_invoice|charge_automatically",
        PauseRefusal("send_invoice", _("This subscription is paid by invoice."), ASK_US),
    ),
    (
        r"billing_mode|classic|flexible",
        PauseRefusal("classic_billing_mode", _("This subscription is billed in a way that does not allow it."), ASK_US),
    ),
    (r"\b(unpaid|past_due)\b", OVERDUE),
    (r"\b(canceled|incomplete|incomplete_expired)\b|no such subscription", OVER),
    (r"status\W+paused|already paused", PAUSED_ELSEWHERE),
    (
        r"schedule attached|attached to|managed by",
        PauseRefusal("schedule", _("A change of this subscription is planned already."), ASK_US),
    ),
    (
        r"pause_at|resume_at|in the past",
        PauseRefusal(
            "bad_dates",
            _("The dates of this pause do not suit this subscription."),
            _("Choose another date of return."),
        ),
    ),
)
_CANNOT_CHANGE = PauseRefusal("cannot_change", _("The date of return cannot be changed."), ASK_US)
_CANNOT_RESUME = PauseRefusal("cannot_resume", _("This subscription could not be resumed."), ASK_US)


def why_it_failed(record: PauseRecord) -> PauseRefusal:
    """Return why a pause could not be set or did not begin, or why its date of return was not changed."""
    return _OURS.get(record.failure or "") or _of_stripe(
        record.failure_detail, CANNOT_PAUSE if record.state is PauseState.FAILED else _CANNOT_CHANGE
    )


def why_it_does_not_return(record: PauseRecord) -> PauseRefusal | None:
    """Return why Stripe refuses to resume, where it is not the payment; `None` where it does not."""
    if record.waiting != "stripe" or record.failure_detail is None:
        return None
    return _of_stripe(record.failure_detail, _CANNOT_RESUME)


def _of_stripe(words: str | None, otherwise: PauseRefusal) -> PauseRefusal:
    named = (refusal for names, refusal in _STRIPES if re.search(names, (words or "").lower()))
    return next(named, otherwise)
