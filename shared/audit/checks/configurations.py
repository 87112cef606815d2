"""Checks of portal configurations: the rules of `shared.portal.rules`, the default one, and who can pause."""

from collections.abc import Iterator
from functools import partial

from shared.audit.check import AccountFacts, AuditContext, Check
from shared.audit.findings import Finding, Severity
from shared.i18n import NOTHING, Message, _, interval_text, listed, sentences
from shared.portal import rules
from shared.portal.configuration import Configuration, PauseDuration, PauseOption
from shared.portal.rules import MOST_PRODUCTS, RULES, Rule
from shared.stripe.gateway import StripeJson

# The audit's word for the severity of a rule.
SEVERITIES = {
    rules.Severity.ERROR: Severity.CRITICAL,
    rules.Severity.WARNING: Severity.WARNING,
    rules.Severity.INFO: Severity.INFO,
}


def find_problems(rule: Rule, raw: StripeJson, audit: AuditContext) -> Iterator[Finding]:
    """Apply a rule to a configuration of the account.

    Nobody sees an inactive configuration, and Stripe deletes none: of those only advice is reported.
    """
    configuration = Configuration.from_stripe(raw)
    is_used = configuration.active or configuration.default
    if rule.compares_prices and is_used:
        configuration = _with_prices(configuration, audit)
    for problem in rule.problems(configuration, audit.pause_day, allow_verified_email=audit.allow_verified_email):
        if is_used or problem.severity is rules.Severity.INFO:
            severity = SEVERITIES[problem.severity]
            yield Finding(rule.code, severity, (str(raw["id"]),), problem.message, problem.fix)


def _with_prices(configuration: Configuration, audit: AuditContext) -> Configuration:
    """Read the prices of the products that offer several, at the cost of a request for each of the first ten."""
    update = configuration.features.subscription_update
    several = [each for each in update.offered_products if update.enabled and len(each.prices) > 1]
    prices = {str(price["id"]): price for each in several[:MOST_PRODUCTS] for price in audit.prices_of(each.product)}
    return configuration.with_prices(prices.get)


CHECKS_OF_RULES = tuple(
    Check(
        rule.code,
        rule.title,
        tuple(SEVERITIES[severity] for severity in rule.severities),
        of_configuration=partial(find_problems, rule),
    )
    for rule in RULES
)


DEFAULT_CONFIGURATION_NAME = "default_configuration"

_DEFAULT_MISSING = (
    _("The account has no default portal configuration: the portal opens only for links that name a configuration."),
    _("Save the customer portal's settings once in the Dashboard (Settings, Billing, Customer portal)."),
)
_NO_LOGIN_PAGE = (
    _(
        "The login page of the default configuration is off: links without a token lead nowhere, and "
        "Checkout's limit of one subscription per customer does not work either."
    ),
    _("Switch the login link on in the portal's settings, unless all customers come from your own site."),
)


def find_default_faults(account: AccountFacts, _audit: AuditContext) -> Iterator[Finding]:
    """Report a missing default, or one without a login page; an account without subscriptions needs no portal."""
    if account.configurations is None or not account.subscriptions_read:
        return
    defaults = [each for each in account.configurations if each.get("is_default")]
    if not defaults:
        yield Finding(DEFAULT_CONFIGURATION_NAME, Severity.WARNING, (), *_DEFAULT_MISSING)
    for raw in defaults:
        default = Configuration.from_stripe(raw)
        if default.active and not default.login_page.enabled:
            yield Finding(DEFAULT_CONFIGURATION_NAME, Severity.INFO, (str(raw["id"]),), *_NO_LOGIN_PAGE)


DEFAULT_CONFIGURATION = Check(
    DEFAULT_CONFIGURATION_NAME,
    _("The portal's default configuration"),
    (Severity.WARNING, Severity.INFO),
    reports="missing, or without a login page; skipped in an account without subscriptions",
    permission="Customer portal",
    of_account=find_default_faults,
)


PORTAL_PAUSE_NAME = "portal_pause"

_WITHOUT_END = _("Customers can pause by themselves in the portal, without an end date.")
_PAUSE_ACTION = _(
    "Nothing, if this is intended; only the redesigned customer portal shows it. Such a pause is a real one: status "
    "paused, no invoices, and access should stop."
)


# Stripe's own choice for a configuration that was saved without a length (stripe-python 16.1.0).
_DEFAULT_LENGTH = (PauseOption(interval="month"),)
_MAY_BE_THE_DEFAULT = _(
    "One month is also what Stripe fills in for a configuration that was saved without a length, as the old pause "
    "button was."
)


def find_portal_pause(raw: StripeJson, _audit: AuditContext) -> Iterator[Finding]:
    """Report that customers can pause, and for how long. The old form is a rule's subject, where Stripe shows it.

    At API 2026-10-28 it may show the default length instead: no source says.
    """
    configuration = Configuration.from_stripe(raw)
    pause = configuration.features.subscription_pause
    if configuration.active and pause.enabled and pause.duration:
        options = pause.duration.interval_options
        meaning = sentences(_lengths(pause.duration), _MAY_BE_THE_DEFAULT if options == _DEFAULT_LENGTH else NOTHING)
        yield Finding(PORTAL_PAUSE_NAME, Severity.INFO, (str(raw["id"]),), meaning, _PAUSE_ACTION)


def _lengths(duration: PauseDuration) -> Message:
    if duration.type == "indefinite":
        return _WITHOUT_END
    lengths = listed(interval_text(each.interval_count, each.interval) for each in duration.interval_options)
    return _("Customers can pause by themselves in the portal. Lengths on offer: {lengths}.", lengths=lengths)


PORTAL_PAUSE = Check(
    PORTAL_PAUSE_NAME,
    _("Customers can pause in the portal"),
    (Severity.INFO,),
    reports="today's form, with a `duration`: a feature, not a fault",
    permission="Customer portal",
    of_configuration=find_portal_pause,
)
