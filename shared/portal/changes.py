"""Whether a customer can change or cancel a subscription in the portal, and why not.

Stripe's limits are those of docs.stripe.com/customer-management, "limitations".
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from shared.i18n import Text, format_date
from shared.portal.facts import ENDED, Answer, PortalFacts, Price, Reason, answer
from shared.portal.payment_methods import is_supported, unsupported
from shared.stripe.subscription import Subscription


@dataclass(frozen=True, slots=True)
class Limit:
    """A limit that depends on the subscription alone.

    `reason` is about one subscription. `of_many` completes "customers can cancel these, but not change their plan: ".
    """

    reason: Reason
    of_many: Text
    forbids_cancelling: bool = False


SCHEDULED = Limit(
    Reason(
        "scheduled_update",
        Text(
            "A subscription schedule plans an update: until then the portal neither changes nor cancels it.",
            "Un calendrier d'abonnement (subscription schedule) prévoit une modification : jusque-là, le portail ne "
            "permet ni de modifier ni de résilier cet abonnement.",
        ),
        Text(
            "Release the schedule (POST /v1/subscription_schedules/{id}/release), or wait until its last phase began.",
            "Libérez le calendrier (POST /v1/subscription_schedules/{id}/release), ou attendez le début de sa dernière "
            "phase.",
        ),
    ),
    Text(
        "A subscription schedule is attached to these: while it plans an update, customers can neither change nor "
        "cancel them in the portal.",
        "Un calendrier d'abonnement (subscription schedule) est attaché à ces abonnements : tant qu'il prévoit une "
        "modification, les clients ne peuvent ni les modifier ni les résilier dans le portail.",
    ),
    forbids_cancelling=True,
)
SEVERAL_ITEMS = Limit(
    Reason(
        "several_items",
        Text("It has several products.", "Il comporte plusieurs produits."),
        Text(
            "Sell one product a subscription: split it into several subscriptions.",
            "Vendez un seul produit par abonnement : répartissez-le en plusieurs abonnements.",
        ),
    ),
    Text("they have several products.", "ils comportent plusieurs produits."),
)
METERED = Limit(
    Reason(
        "metered",
        Text("It has usage-based prices.", "Il a un tarif à l'usage."),
        Text(
            "A licensed price (usage_type=licensed); usage-based prices are changed through the API only.",
            "Un tarif fixe (usage_type=licensed) ; un tarif à l'usage ne se modifie que par l'API.",
        ),
    ),
    Text("they have usage-based prices.", "ils ont des tarifs à l'usage."),
)
SEND_INVOICE = Limit(
    Reason(
        "send_invoice",
        Text(
            "It is paid by invoice (collection_method=send_invoice).",
            "Il est réglé sur facture envoyée au client (collection_method=send_invoice).",
        ),
        Text(
            "Charge it automatically: set collection_method=charge_automatically, once a payment method is there.",
            "Prélevez-le automatiquement : collection_method=charge_automatically, dès qu'un moyen de paiement est "
            "enregistré.",
        ),
    ),
    Text("they are paid by invoice (send_invoice).", "ils sont réglés sur facture envoyée au client (send_invoice)."),
)


def limits_of(subscription: Subscription, *, update_is_planned: bool | None = None) -> Iterator[Limit]:
    """Return the limits of a subscription; `update_is_planned` is `None` if its attached schedule was not read."""
    if subscription.schedule_id and update_is_planned is not False:
        yield SCHEDULED
    if len(subscription.items) > 1:
        yield SEVERAL_ITEMS
    if any(item.usage_type == "metered" for item in subscription.items):
        yield METERED
    if subscription.collection_method == "send_invoice":
        yield SEND_INVOICE


_CHANGED_IN = frozenset({"active", "trialing", "past_due"})
_CHANGE = Text("Change the plan", "Changer d'offre")

_UPDATE_OFF = Reason(
    "subscription_update_off",
    Text(
        "The configuration does not let customers change plans.",
        "La configuration ne permet pas aux clients de changer d'offre.",
    ),
    Text("Switch features.subscription_update on.", "Activez features.subscription_update."),
    configured=True,
)
_NOTHING_ALLOWED = Reason(
    "nothing_allowed",
    Text(
        "The configuration allows neither another price nor another quantity.",
        "La configuration n'autorise ni un autre tarif ni une autre quantité.",
    ),
    Text(
        "Add price or quantity to features.subscription_update.default_allowed_updates.",
        "Ajoutez price ou quantity à features.subscription_update.default_allowed_updates.",
    ),
    configured=True,
)
_UNSPECIFIED = Reason(
    "tax_behavior_unspecified",
    Text(
        "The tax_behavior of its price is unspecified, so the portal cannot change it.",
        "Le tax_behavior de son tarif vaut unspecified : le portail ne peut donc pas le modifier.",
    ),
    Text(
        "Set the price's tax_behavior to inclusive or exclusive, which is final, and the same on the prices on offer.",
        "Réglez le tax_behavior du tarif sur inclusive ou exclusive, une fois pour toutes, et de même pour les tarifs "
        "proposés.",
    ),
)
_NO_OTHER_PRICE = Reason(
    "no_other_price",
    Text(
        "No other price on offer has its currency and its tax_behavior.",
        "Aucun autre tarif proposé n'a sa devise et son tax_behavior.",
    ),
    Text(
        "Offer a price that has both (features.subscription_update.offered_products).",
        "Proposez un tarif qui a les deux (features.subscription_update.offered_products).",
    ),
)
_TRIAL_ENDS = Text(
    "It is in a trial: a change ends the trial and bills at once (trial_update_behavior=end_trial).",
    "Il est en période d'essai : un changement y met fin et facture aussitôt (trial_update_behavior=end_trial).",
)
_TRIAL_GOES_ON = Text(
    "It is in a trial, which goes on after a change (trial_update_behavior=continue_trial).",
    "Il est en période d'essai, qui continue après un changement (trial_update_behavior=continue_trial).",
)
_IDLE_SCHEDULE = Text(
    "A subscription schedule is attached, but plans no further update: it prevents nothing.",
    "Un calendrier d'abonnement (subscription schedule) y est attaché, mais ne prévoit plus de modification : il "
    "n'empêche rien.",
)
_UNREAD_SCHEDULE = Text(
    "The attached schedule was not read: this answer assumes that it still plans an update.",
    "Le calendrier attaché n'a pas été lu : cette réponse suppose qu'il prévoit encore une modification.",
)
_PRODUCT_NOT_OFFERED = Text(
    "The product of its own price is not on offer: its quantity cannot be changed, and a customer who leaves the "
    "plan cannot come back to it.",
    "Le produit de son propre tarif ne figure pas parmi ceux proposés : la quantité ne peut pas être modifiée, et un "
    "client qui quitte cette offre ne peut pas y revenir.",
)
_PRICES_NOT_READ = Text(
    "Which prices are on offer was not read.",
    "Les tarifs proposés n'ont pas été lus.",
)


def choices(facts: PortalFacts) -> tuple[Price, ...]:
    """Return the prices that the customer can switch to: active, with the same currency and tax behavior."""
    now, allowed = facts.current, facts.features.subscription_update.default_allowed_updates
    if now is None or "price" not in allowed or now.tax_behavior in (None, "unspecified"):
        return ()
    kept = (now.currency, now.tax_behavior)
    return tuple(
        each
        for each in facts.offered or ()
        if each.id != now.id and each.active and (each.currency, each.tax_behavior) == kept
    )


def allows_quantity(facts: PortalFacts) -> bool:
    """Whether the customer can change the quantity: the configuration must offer the product."""
    return "quantity" in facts.features.subscription_update.default_allowed_updates and _is_offered(facts)


def _is_offered(facts: PortalFacts) -> bool:
    """Whether the subscription's own product is one of those that the configuration offers."""
    products = facts.features.subscription_update.offered_products
    return facts.current is not None and any(each.product == facts.current.product_id for each in products)


def plan_change(facts: PortalFacts) -> Answer:
    """Whether the customer can change the plan or the quantity."""
    if facts.subscription.ended:
        return answer("change_plan", _CHANGE, (ENDED,))
    return answer("change_plan", _CHANGE, _against_change(facts), _about_change(facts))


def _against_change(facts: PortalFacts) -> Iterator[Reason]:
    update, subscription = facts.features.subscription_update, facts.subscription
    if not update.enabled:
        yield _UPDATE_OFF
    elif not {"price", "quantity"}.intersection(update.default_allowed_updates):
        yield _NOTHING_ALLOWED
    for limit in limits_of(subscription, update_is_planned=facts.update_is_planned):
        yield limit.reason
    if facts.charged is not None and not is_supported(facts.charged):
        yield unsupported(facts.charged)
    if subscription.status not in _CHANGED_IN:
        yield _status(subscription.status)
    if facts.current is not None and facts.current.tax_behavior == "unspecified":
        yield _UNSPECIFIED
    elif update.enabled and facts.offered is not None and not (choices(facts) or allows_quantity(facts)):
        yield _NO_OTHER_PRICE


def _about_change(facts: PortalFacts) -> Iterator[Text]:
    update, subscription = facts.features.subscription_update, facts.subscription
    if subscription.schedule_id and facts.update_is_planned is None:
        yield _UNREAD_SCHEDULE
    if subscription.schedule_id and facts.update_is_planned is False:
        yield _IDLE_SCHEDULE
    if not update.enabled:
        return
    if subscription.status == "trialing":
        yield _TRIAL_GOES_ON if update.trial_update_behavior == "continue_trial" else _TRIAL_ENDS
    if facts.offered is None:
        yield _PRICES_NOT_READ
    elif facts.current is not None and not _is_offered(facts):
        yield _PRODUCT_NOT_OFFERED


def _status(status: str) -> Reason:
    return Reason(
        "status",
        Text(
            f"Its status is {status}: Stripe does not say that the portal changes such a subscription.",
            f"Son statut est {status} : Stripe ne dit pas que le portail modifie un tel abonnement.",
        ),
        Text("The status has to be active, trialing or past_due.", "Le statut doit être active, trialing ou past_due."),
    )


_CANCEL = Text("Cancel", "Résilier")
_CANCEL_OFF = Reason(
    "subscription_cancel_off",
    Text(
        "The configuration does not let customers cancel.",
        "La configuration ne permet pas aux clients de résilier.",
    ),
    Text("Switch features.subscription_cancel on.", "Activez features.subscription_cancel."),
    configured=True,
)
_AT_ONCE = Text("It would end at once.", "Il prendrait fin aussitôt.")
_AT_PERIOD_END = Text("It would end with the period that is paid.", "Il prendrait fin avec la période payée.")


def cancellation(facts: PortalFacts) -> Answer:
    """Whether the customer can cancel, or undo a planned cancellation."""
    if facts.subscription.ended:
        return answer("cancel", _CANCEL, (ENDED,))
    limits = limits_of(facts.subscription, update_is_planned=facts.update_is_planned)
    reasons = (
        None if facts.features.subscription_cancel.enabled else _CANCEL_OFF,
        *(limit.reason for limit in limits if limit.forbids_cancelling),
    )
    when = _AT_ONCE if facts.features.subscription_cancel.mode == "immediately" else _AT_PERIOD_END
    return answer("cancel", _CANCEL, reasons, () if any(reasons) else (_planned_end(facts) or when,))


def _planned_end(facts: PortalFacts) -> Text | None:
    end = facts.subscription.cancel_at
    if end is None:
        return None
    day = datetime.fromtimestamp(end, UTC).date()
    return Text(
        f"It is set to end on {format_date(day)}; the customer can undo that.",
        f"Sa fin est prévue le {format_date(day, 'fr')} ; le client peut y renoncer.",
    )
