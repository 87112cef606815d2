"""Every error that the bundle raises on purpose, and the catalogue of their codes.

The class says whose fault it is and, at the edge, which HTTP status and log level follow (`shared/http.py`). The code
says what is wrong. The catalogue has one entry for each code; metrics, the OpenAPI document, the visitor's page and the
tables of codes in docs/ are derived from it.

PortalError
├── InvalidRequest        the caller's input is wrong
├── Unauthenticated       the caller did not prove who they are
├── Forbidden             the caller is known, and may not do this
├── Conflict              the caller may do this, and not in the present state
├── OperatorError         the deployment or the Stripe account is set up wrongly
├── Unavailable           Stripe or AWS did not answer; trying again may help
└── UnreadableEvent       a genuine event that this version cannot understand
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

# Stripe quotes what it refuses, a group may come from a claim, and messages are logged.
_EMAIL_ADDRESS = re.compile(r"[^\s'\"<>(),;:]+@[^\s'\"<>(),;:]+")


def without_addresses(text: str) -> str:
    """Return a text for an error's message, with every e-mail address replaced."""
    return _EMAIL_ADDRESS.sub("(an e-mail address)", text)


class Sentence(str):
    """An English sentence with the template and the values that it was made of, for `shared.i18n.say` to translate.

    It is no `Message`, because the webhook starts without `shared.i18n`.
    """

    __slots__ = ("template", "values")

    template: str
    values: Mapping[str, Any]


def sentence(template: str, /, **values: Any) -> Sentence:
    """Mark the message of an error for translation; `template` has named places for the values, such as `{name}`.

    A `Message` or a `Sentence` among the values is translated with it.
    """
    kept = {
        name: value if hasattr(value, "say") or isinstance(value, str) else str(value) for name, value in values.items()
    }
    made = Sentence(
        template.format(**{name: value if isinstance(value, str) else value.say("en") for name, value in kept.items()})
    )
    made.template, made.values = template, kept
    return made


class PortalError(Exception):
    """The base of all: `code` is stable for programs, the message is for people.

    Only a code of the catalogue can be raised, and only as the class that the catalogue gives it.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        entry = CATALOGUE.get(code)
        if entry is None or entry.error is not type(self):
            raise LookupError(f"shared.errors.CATALOGUE has no {type(self).__name__} with the code {code!r}")
        self.entry = entry
        self.message = message

    @property
    def code(self) -> str:
        """The code, as in the catalogue."""
        return self.entry.code


class InvalidRequest(PortalError):
    """Raised when the caller's input cannot be accepted; the message says what to send instead."""


class Unauthenticated(PortalError):
    """Raised when a token or a signature is missing, expired or not genuine."""


class Forbidden(PortalError):
    """Raised when a known caller asks for what belongs to somebody else."""


class Conflict(PortalError):
    """Raised when what a caller asks for does not go with the present state of what it is about."""


class OperatorError(PortalError):
    """Raised when only the operator can fix it: the message says how, and goes to the log, not to visitors."""


class Unavailable(PortalError):
    """Raised when Stripe or AWS failed for now; nothing was changed and a later try may succeed.

    `retry_after`: for how many seconds Stripe asked to be left alone.
    """

    def __init__(self, code: str, message: str, *, retry_after: float = 0) -> None:
        super().__init__(code, message)
        self.retry_after = retry_after


class UnreadableEvent(PortalError):
    """Raised for a genuine event that cannot be understood; its raw form has to be kept."""


class VisitorPage(StrEnum):
    """The page that a person sees who followed a portal link; `shared/visitor_page.py` has the texts."""

    LINK_BROKEN = "link_broken"
    LINK_EXPIRED = "link_expired"
    NOT_OFFERED = "not_offered"
    OUR_FAULT = "our_fault"
    SEVERAL_CUSTOMERS = "several_customers"
    TRY_AGAIN = "try_again"


@dataclass(frozen=True, slots=True)
class ErrorEntry:
    """All that is fixed about one code.

    `explanation` is Markdown for the docs: what the caller did wrong, or what the operator has to do. It is empty for
    the codes of the command, which prints nothing but the message. `portal_link` says whether the portal link can
    answer with the code; `metric` is what it then counts beside `PortalMisconfigured`. `login_page_helps` says whether
    the login page opens where this error kept a link from opening.
    """

    code: str
    error: type[PortalError]
    explanation: str
    page: VisitorPage
    portal_link: bool = False
    metric: str | None = None
    login_page_helps: bool = True


def _request(code: str, explanation: str, page: VisitorPage = VisitorPage.LINK_BROKEN) -> ErrorEntry:
    return ErrorEntry(code, InvalidRequest, explanation, page, portal_link=True)


def _identity(code: str, explanation: str, page: VisitorPage = VisitorPage.LINK_BROKEN) -> ErrorEntry:
    return ErrorEntry(code, Unauthenticated, explanation, page, portal_link=True)


def _ownership(code: str, explanation: str, page: VisitorPage = VisitorPage.LINK_BROKEN) -> ErrorEntry:
    return ErrorEntry(code, Forbidden, explanation, page, portal_link=True)


def _setup(code: str, explanation: str, metric: str | None, *, login_page_helps: bool = True) -> ErrorEntry:
    return ErrorEntry(
        code,
        OperatorError,
        explanation,
        VisitorPage.OUR_FAULT,
        portal_link=True,
        metric=metric,
        login_page_helps=login_page_helps,
    )


def _setup_elsewhere(code: str, explanation: str = "") -> ErrorEntry:
    return ErrorEntry(code, OperatorError, explanation, VisitorPage.OUR_FAULT)


def _failure(code: str, explanation: str = "", *, portal_link: bool = False) -> ErrorEntry:
    return ErrorEntry(code, Unavailable, explanation, VisitorPage.TRY_AGAIN, portal_link=portal_link)


def _event(code: str, explanation: str) -> ErrorEntry:
    return ErrorEntry(code, UnreadableEvent, explanation, VisitorPage.OUR_FAULT)


def _command(code: str) -> ErrorEntry:
    return ErrorEntry(code, InvalidRequest, "", VisitorPage.LINK_BROKEN)


_SETTINGS_WRONG = "PortalSettingsWrong"
_AWS_FAILED = "AWS was slow or down, or a permission is missing"
_STRIPE_FAILED = "Stripe was slow or down; events are sent again"
_LINK_FIXES_ANOTHER = "the token fixes another one"

CATALOGUE: Mapping[str, ErrorEntry] = {
    entry.code: entry
    for entry in (
        # What a caller of the portal link did wrong.
        _request("bad_request", "a field is wrong; `detail` names it"),
        _request("body_too_large", "the body is larger than any that is needed"),
        _request("unreadable_body", "the body is said to be base64, and is not"),
        _request("bad_return_url", "not an address of an allowed origin, or one that Stripe does not take"),
        _request("customer_required", "several customers, and none picked"),
        _request("subscription_required", "the flow needs a `subscription`", VisitorPage.NOT_OFFERED),
        _request("change_required", "the flow needs a `price` or a `quantity`", VisitorPage.NOT_OFFERED),
        _request(
            "change_refused",
            "the portal's configuration does not offer this price or quantity",
            VisitorPage.NOT_OFFERED,
        ),
        _request("nothing_to_confirm", "the subscription already has this price and quantity", VisitorPage.NOT_OFFERED),
        _request("several_items", "the portal changes no subscription that has several items", VisitorPage.NOT_OFFERED),
        _request(
            "discount_refused",
            "the token's coupon or promotion code does not exist, or is used up or expired",
            VisitorPage.NOT_OFFERED,
        ),
        _request("flow_disabled", "the feature is off in the portal's configuration", VisitorPage.NOT_OFFERED),
        _request(
            "flow_refused",
            "Stripe does not offer this flow for this subscription; `detail` has Stripe's reason",
            VisitorPage.NOT_OFFERED,
        ),
        _identity("no_token", "no `Authorization: Bearer`"),
        _identity("bad_token", "not a valid link token"),
        _identity("expired_token", "ask for a new link", VisitorPage.LINK_EXPIRED),
        _ownership("no_customer", "the user belongs to no customer"),
        _ownership(
            "several_customers",
            "several customers have the user's address, and none is bound to the user",
            VisitorPage.SEVERAL_CUSTOMERS,
        ),
        _ownership("not_your_customer", "that customer is not among the caller's"),
        _ownership(
            "not_your_subscription", "somebody else's, or nobody's: the answer is the same", VisitorPage.NOT_OFFERED
        ),
        _ownership("not_your_item", "the item is not of that subscription", VisitorPage.NOT_OFFERED),
        _ownership(
            "flow_not_in_token",
            "the flow `pause` needs a token that names it, or a signed-in user",
            VisitorPage.NOT_OFFERED,
        ),
        _ownership("other_flow", _LINK_FIXES_ANOTHER),
        _ownership("other_subscription", _LINK_FIXES_ANOTHER),
        _ownership("other_item", _LINK_FIXES_ANOTHER),
        _ownership("other_price", _LINK_FIXES_ANOTHER),
        _ownership("other_quantity", _LINK_FIXES_ANOTHER),
        _ownership("other_after_completion", _LINK_FIXES_ANOTHER),
        # A pause that is not possible now.
        ErrorEntry("pause_refused", Conflict, "not possible: `reasons` has each reason", VisitorPage.NOT_OFFERED),
        ErrorEntry("pause_busy", Conflict, "another change of this pause is under way", VisitorPage.TRY_AGAIN),
        # What the operator has to fix before the portal link works.
        _setup(
            "bad_settings",
            "correct the parameter that the line names, see [settings.md](settings.md)",
            _SETTINGS_WRONG,
            login_page_helps=False,
        ),
        _setup(
            "bad_secret",
            "correct the field of the secret that the line names",
            _SETTINGS_WRONG,
            login_page_helps=False,
        ),
        _setup(
            "secret_refused",
            "a secret is deleted, or the function may not read it: deploy the template again",
            _SETTINGS_WRONG,
            login_page_helps=False,
        ),
        _setup(
            "stripe_key_invalid",
            "the key is revoked, expired or mistyped: put a new one into the secret",
            "PortalKeyInvalid",
            login_page_helps=False,
        ),
        _setup(
            "stripe_key_lacks_permission",
            "give the restricted key the permission that the line names",
            "PortalKeyLacksPermission",
            login_page_helps=False,
        ),
        _setup(
            "no_default_configuration",
            "save the portal's settings once in the Dashboard, in the mode of the key",
            "PortalNoDefaultConfiguration",
            login_page_helps=False,
        ),
        _setup(
            "login_page_off",
            "turn on the login link in the portal's settings in the Dashboard, in the mode of the key",
            "PortalLoginPageOff",
            login_page_helps=False,
        ),
        _setup(
            "billing_not_available",
            "the portal in live mode is for paying users of Billing: ask Stripe for access",
            "PortalBillingNotAvailable",
            login_page_helps=False,
        ),
        _setup(
            "configuration_inactive",
            "activate the portal configuration, or name another one in `PortalConfigurations`",
            "PortalConfigurationInactive",
        ),
        _setup(
            "configuration_missing",
            "`PortalConfigurations` has an id that Stripe does not have: correct it",
            "PortalConfigurationMissing",
        ),
        _setup(
            "unknown_group",
            "add the group to `PortalConfigurations`, or correct the token, the claim or the customer's metadata that "
            "names it",
            "PortalUnknownGroup",
        ),
        _setup(
            "customer_missing",
            "the customer is deleted or belongs to another account: correct what the link token or the claim names, "
            "or the key",
            "PortalCustomerMissing",
        ),
        _setup(
            "wrong_mode",
            "the key is of test mode and the customer or configuration of live mode, or the other way round: use those "
            "of one mode",
            "PortalWrongMode",
        ),
        _setup(
            "bad_checkout_price",
            "set `CheckoutPrice` to an active recurring price of the key's mode",
            _SETTINGS_WRONG,
        ),
        _setup("bad_retention_coupon", "set `RetentionCoupon` to a coupon that Stripe takes", _SETTINGS_WRONG),
        _setup(
            "checkout_refused",
            "Stripe refused the Checkout session: correct what its words, quoted in the line, complain about",
            None,
        ),
        _setup(
            "stripe_refused",
            "Stripe refused the request: correct what its words, quoted in the line, complain about",
            None,
        ),
        _setup(
            "internal_error",
            "a fault of the bundle itself: please report it. The line says where, and nothing of what was sent",
            None,
            login_page_helps=False,
        ),
        # What the operator has to fix for the audit.
        _setup_elsewhere("mail_refused", "verify the sender in SES"),
        _setup_elsewhere("settings_refused", "deploy the template again"),
        _setup_elsewhere(
            "reports_refused", "the audit may not use its bucket, or the bucket is gone: deploy the template again"
        ),
        _setup_elsewhere(
            "nights_refused",
            "the audit may not use its table `Audits`, or the table is gone: deploy the template again",
        ),
        # What the operator has to fix for the webhook.
        _setup_elsewhere(
            "event_source_closed",
            "an event came from EventBridge and is not of `StripeEventSource`: set that parameter, or remove the rule "
            "that sends such events to the function",
        ),
        # What may pass by itself.
        _failure("stripe_unavailable", _STRIPE_FAILED, portal_link=True),
        _failure("stripe_without_date", _STRIPE_FAILED),
        _failure(
            "customer_not_found_yet",
            "a user's customer is being made; see [portal-link.md](portal-link.md)",
            portal_link=True,
        ),
        _failure(
            "customer_not_made",
            "Stripe could not make a user's customer; see [portal-link.md](portal-link.md)",
            portal_link=True,
        ),
        _failure(
            "checkout_contended", "several requests changed one customer's Checkout at the same time", portal_link=True
        ),
        _failure("secret_unreadable", _AWS_FAILED, portal_link=True),
        _failure("mirror_unavailable", _AWS_FAILED),
        _failure("lookups_unavailable", _AWS_FAILED),
        _failure("access_lookup_busy", "a customer whom the mirror does not know is being looked up at Stripe"),
        _failure(
            "access_lookups_used_up",
            "more unknown customers within a minute than `AccessLookupsPerMinute`: if many are genuine, events do not "
            "arrive, or a backfill is missing",
        ),
        _failure("stripe_rate_limited", "Stripe's rate limit (429): tried again later", portal_link=True),
        _failure("unsettled", "Stripe's answer may be older than the event: tried again from the queue"),
        _failure("mirror_contended", "one subscription changed again and again while it was read"),
        _failure("settle_queue_unavailable", _AWS_FAILED),
        _failure("access_table_unavailable", _AWS_FAILED),
        _failure("access_events_unavailable", _AWS_FAILED),
        _failure("pauses_unavailable", _AWS_FAILED),
        _failure("pauses_contended", "the pause of one subscription was changed by several at the same time"),
        _failure("access_contended", "the access of one customer was decided by several at the same time"),
        _failure("dead_letters_unavailable", _AWS_FAILED),
        _failure("mail_unavailable", _AWS_FAILED),
        _failure("settings_unavailable", _AWS_FAILED),
        _failure("nights_unavailable", _AWS_FAILED),
        _failure("reports_unavailable", _AWS_FAILED),
        _failure(
            "list_unreadable", "last night's list in the bucket is no CSV any more: the mail goes without what changed"
        ),
        # Genuine events that go to the dead-letter queue.
        _event("unreadable_event", "not an event of a known form; the fields are named"),
        _event("unreadable_subscription", "not a subscription of a known form; the fields are named"),
        _event("subscription_without_customer", "it names no customer"),
        _event("subscription_missing", "Stripe does not have it: another account's, or of a deleted test clock"),
        _event("subscription_refused", "Stripe refused to read it (status 400); the reason has Stripe's code"),
        _event(
            "thin_event_without_customer",
            "a thin event about entitlements, which names no customer: have the endpoint or destination send "
            "`entitlements.active_entitlement_summary.updated` as a snapshot",
        ),
        _event("thin_event_without_subscription", "a thin event that names no subscription"),
        # The webhook's own.
        ErrorEntry("bad_signature", InvalidRequest, "not signed by Stripe with the secret", VisitorPage.LINK_BROKEN),
        # The command prints the message, which says what to do.
        _command("apply_to_whom"),
        _command("ambiguous_configuration"),
        _command("apply_failed"),
        _command("bad_calendar"),
        _command("bad_country"),
        _command("bad_customer"),
        _command("bad_date"),
        _command("bad_duration"),
        _command("bad_expiry"),
        _command("bad_link"),
        _command("bad_list"),
        _command("bad_operator_key"),
        _command("bad_portal_file"),
        _command("bad_rate"),
        _command("bad_setting"),
        _command("bad_stripe_key"),
        _command("bad_timezone"),
        _command("changed_meanwhile"),
        _command("file_exists"),
        _command("file_too_large"),
        _command("id_of_the_default"),
        _command("key_of_other_account"),
        _command("key_of_other_mode"),
        _command("link_too_long"),
        _command("lint_errors"),
        _command("no_configuration"),
        _command("no_email"),
        _command("no_stack"),
        _command("no_subscription"),
        _command("no_such_configuration"),
        _command("no_such_customer"),
        _command("no_such_folder"),
        _command("not_confirmed"),
        _command("not_local"),
        _command("entitlements_off"),
        _command("not_mirrored"),
        _command("not_paused"),
        _command("not_stranded"),
        _command("not_the_customers"),
        _command("no_stripe_key"),
        _command("nothing_to_import"),
        _command("nothing_to_rotate"),
        _command("resume_whom"),
        _command("still_deployed"),
        _command("too_long"),
        _command("too_many_configurations"),
        _command("too_many_secrets"),
        _command("unreadable_file"),
        _command("unwritable_file"),
        _failure("not_running"),
        _failure("not_the_stack"),
        _failure("webhook_unreachable"),
        _setup_elsewhere("no_output"),
        _setup_elsewhere("no_portal_permission"),
        _setup_elsewhere("no_write_permission"),
        _setup_elsewhere("test_event_refused"),
    )
}
