"""Whether mails can leave and alarms arrive: SES's identities and sandbox, the subscribers of the alarms' topic."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from email.utils import parseaddr
from enum import StrEnum
from typing import Any

from botocore.exceptions import ClientError

from shared.aws import code_of

_MISSING = frozenset({"NotFoundException"})
# SNS says this in the place of a subscription's ARN until its reader has followed the link.
PENDING = "PendingConfirmation"


class IdentityState(StrEnum):
    """What SES says of a sender or reader."""

    VERIFIED = "verified"
    PENDING = "pending"
    ABSENT = "absent"


@dataclass(frozen=True, slots=True)
class Identity:
    """An address, and its own identity in SES or else its domain's."""

    address: str
    state: IdentityState


def address_of(sender: str) -> str:
    """Return the address of `Name <address>`."""
    return parseaddr(sender)[1]


def identity_of(ses: Any, address: str) -> Identity:
    """Look up the address and its domain in SES: one verified identity of the two is enough."""
    states = [_state(ses, address), _state(ses, address.rpartition("@")[2])]
    best = next((each for each in IdentityState if each in states), IdentityState.ABSENT)
    return Identity(address, best)


def _state(ses: Any, name: str) -> IdentityState:
    try:
        found = ses.get_email_identity(EmailIdentity=name)
    except ClientError as error:
        if code_of(error) in _MISSING:
            return IdentityState.ABSENT
        raise
    return IdentityState.VERIFIED if found["VerificationStatus"] == "SUCCESS" else IdentityState.PENDING


def is_in_sandbox(ses: Any) -> bool:
    """Whether SES lets the account mail to verified addresses only (`GetAccount`, `ProductionAccessEnabled`)."""
    return not ses.get_account()["ProductionAccessEnabled"]


@dataclass(frozen=True, slots=True)
class AlarmReaders:
    """Who is told of alarms, and who has not confirmed yet."""

    confirmed: tuple[str, ...]
    pending: tuple[str, ...]


def alarm_readers(sns: Any, topic_arn: str) -> AlarmReaders:
    """Read the topic's subscriptions."""
    pages = sns.get_paginator("list_subscriptions_by_topic").paginate(TopicArn=topic_arn)
    every = [each for page in pages for each in page["Subscriptions"]]
    return AlarmReaders(
        tuple(each["Endpoint"] for each in every if each["SubscriptionArn"] != PENDING),
        tuple(each["Endpoint"] for each in every if each["SubscriptionArn"] == PENDING),
    )


def unverified(identities: Iterable[Identity]) -> Sequence[Identity]:
    """Return those that SES would not mail from, or in the sandbox to."""
    return [each for each in identities if each.state is not IdentityState.VERIFIED]
