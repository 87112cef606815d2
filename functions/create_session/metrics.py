"""The names under which CloudWatch counts what became of portal links; all have the unit Count."""

from enum import StrEnum

from shared.errors import OperatorError, PortalError, Unavailable


class PortalMetric(StrEnum):
    """One of the first seven for each request; beside `PortalMisconfigured` one that says what is wrong, if known."""

    OPENED = "PortalOpened"
    CHECKOUT = "PortalCheckout"
    CHECKED = "PortalChecked"
    REFUSED = "PortalRefused"
    MISCONFIGURED = "PortalMisconfigured"
    UNAVAILABLE = "PortalUnavailable"
    FAILED = "PortalFailed"

    BILLING_NOT_AVAILABLE = "PortalBillingNotAvailable"
    CONFIGURATION_INACTIVE = "PortalConfigurationInactive"
    CONFIGURATION_MISSING = "PortalConfigurationMissing"
    CUSTOMER_MISSING = "PortalCustomerMissing"
    KEY_INVALID = "PortalKeyInvalid"
    KEY_LACKS_PERMISSION = "PortalKeyLacksPermission"
    LOGIN_PAGE_OFF = "PortalLoginPageOff"
    NO_DEFAULT_CONFIGURATION = "PortalNoDefaultConfiguration"
    SETTINGS_WRONG = "PortalSettingsWrong"
    UNKNOWN_GROUP = "PortalUnknownGroup"
    WRONG_MODE = "PortalWrongMode"


_CAUSES = {
    "bad_checkout_price": PortalMetric.SETTINGS_WRONG,
    "bad_retention_coupon": PortalMetric.SETTINGS_WRONG,
    "bad_secret": PortalMetric.SETTINGS_WRONG,
    "bad_settings": PortalMetric.SETTINGS_WRONG,
    "billing_not_available": PortalMetric.BILLING_NOT_AVAILABLE,
    "configuration_inactive": PortalMetric.CONFIGURATION_INACTIVE,
    "configuration_missing": PortalMetric.CONFIGURATION_MISSING,
    "customer_missing": PortalMetric.CUSTOMER_MISSING,
    "login_page_off": PortalMetric.LOGIN_PAGE_OFF,
    "no_default_configuration": PortalMetric.NO_DEFAULT_CONFIGURATION,
    "stripe_key_invalid": PortalMetric.KEY_INVALID,
    "stripe_key_lacks_permission": PortalMetric.KEY_LACKS_PERMISSION,
    "unknown_group": PortalMetric.UNKNOWN_GROUP,
    "wrong_mode": PortalMetric.WRONG_MODE,
}


def metrics_of(error: PortalError) -> tuple[PortalMetric, ...]:
    """Answer what a refused request counts as."""
    match error:
        case OperatorError(code=code):
            cause = _CAUSES.get(code)
            return (PortalMetric.MISCONFIGURED, cause) if cause else (PortalMetric.MISCONFIGURED,)
        case Unavailable():
            return (PortalMetric.UNAVAILABLE,)
        case _:
            return (PortalMetric.REFUSED,)
