"""What a team decides about its audit: how its service takes a pause, and the limits beyond which something is told."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_pascal

from shared.errors import InvalidRequest, sentence

Days = Annotated[int, Field(ge=0, le=3650)]
# The lists that an audit can do without, by the names that the Dashboard has for their permissions.
OptionalList = Literal["Customer portal", "Event Destinations", "Events", "Invoices", "Prices", "Webhook Endpoints"]
OPTIONAL_LISTS: tuple[str, ...] = get_args(OptionalList)


def split_list(value: Any) -> Any:
    """Split a setting at its commas; what is no text stays."""
    return [each.strip() for each in value.split(",") if each.strip()] if isinstance(value, str) else value


class AuditOptions(BaseModel):
    """Field `x_y` is the stack's parameter `XY`. A limit of 0 days turns its check off.

    `service_honors_pauses`: the service stops while `pause_collection` is set, so that nobody is served for free.
    `max_pause_days`: how long a pause of either kind may last; with `pause_min_days_between`, `pause_max_in_365_days`
    and `pause_groups` (JSON) it is a rule for the pauses that customers set themselves. `max_past_due_days`: how long
    an invoice that is charged automatically may stay unpaid. `max_overdue_days`: the same of one that the customer
    pays, after its due date. `max_trial_days`: how long a trial may be. `payment_method_notice_days`: how long before a
    charge it is looked for a payment method; with `reads_payment_methods` its expiry is read too, at the cost of a
    request for each. `audit_names_customers`: customers' names and e-mail addresses are read and shown. `audit_skips`:
    lists that are not read, because the key may not or the team does not want it. `audit_help_url`: where the team
    reads docs/reference/audit.md, if anywhere. `entitlements`: the mirror holds them, so events about them are needed.
    """

    model_config = ConfigDict(frozen=True)

    service_honors_pauses: bool = False
    max_pause_days: Days = 365
    pause_min_days_between: Days = 0
    pause_max_in_365_days: Annotated[int, Field(ge=0, le=365)] = 0
    pause_groups: str = "{}"
    max_past_due_days: Days = 30
    max_overdue_days: Days = 30
    max_trial_days: Days = 90
    payment_method_notice_days: Days = 7
    reads_payment_methods: bool = False
    audit_names_customers: bool = True
    audit_skips: Annotated[tuple[OptionalList, ...], BeforeValidator(split_list)] = ()
    entitlements: bool = False
    audit_help_url: Annotated[str, Field(pattern=r"^(https://[^\s#\"<>]+)?$")] = ""


DEFAULT_OPTIONS = AuditOptions()
# Each option by the stack's parameter.
_OF_PARAMETER = {to_pascal(field): field for field in AuditOptions.model_fields}


def options_of(parameters: Mapping[str, str]) -> AuditOptions:
    """Read the options among a stack's parameters; the others have their defaults. Raises `InvalidRequest`."""
    given = {_OF_PARAMETER[name]: value for name, value in parameters.items() if name in _OF_PARAMETER}
    try:
        return AuditOptions.model_validate(given)
    except ValidationError as error:
        wrong = "; ".join(f"{to_pascal(str(each['loc'][0]))}: {each['msg']}" for each in error.errors())
        raise InvalidRequest(
            "bad_setting", sentence("Correct these settings of the audit: {wrong}", wrong=wrong)
        ) from None


def parse_setting(text: str) -> tuple[str, str]:
    """Split `MaxTrialDays=30` into the parameter and its value. Raises `InvalidRequest` for any other name."""
    name, _, value = text.partition("=")
    if name not in _OF_PARAMETER:
        raise InvalidRequest(
            "bad_setting",
            sentence(
                "{name} is no setting of the audit: write NAME=VALUE with {known}",
                name=repr(name),
                known=", ".join(_OF_PARAMETER),
            ),
        )
    return name, value
