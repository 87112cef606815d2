"""The DynamoDB table `Audits`: one item a night, with what was found and whether the mail went out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from shared.audit.report import PastNight, Report
from shared.aws import code_of, is_refusal, serialize
from shared.errors import OperatorError, Unavailable

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient


REMEMBERED_NIGHTS = 29
KEPT_FOR = timedelta(days=400)
# Lambda ends a run after this time (`ExecutionTimeout` in template.yaml), without another word.
LONGEST_RUN = timedelta(hours=12)
# A run that claimed the mail longer ago than this has died.
SENDING_TAKES = timedelta(minutes=15)


# `:mail` is "sending" here.
_MAY_SEND = (
    "attribute_not_exists(#mail) OR #mail = :refused OR (#mail = :mail AND (#run = :run OR #claimed_at < :dead))"
)


class MailStatus(StrEnum):
    """What became of a night's mail."""

    SENDING = "sending"
    SENT = "sent"
    SILENT = "silent"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class NightWithoutMail:
    """A night whose run failed or reached its time limit. `counted`: whether `AuditFailures` has it already."""

    night: date
    counted: bool


class AuditsTable:
    """Stores each night's totals, and lets one run a night send the mail."""

    def __init__(self, client: "DynamoDBClient", table_name: str) -> None:
        self._client = client
        self._table_name = table_name

    def earlier_nights(self, night: date) -> tuple[PastNight, ...]:
        """Return up to 29 nights before this one, oldest first; nights without a report are gaps.

        Raises `Unavailable`.
        """
        return tuple(_past_night(item) for item in self._earlier_items(night) if "complete" in item)

    def begin(self, night: date, *, now: datetime) -> None:
        """Record that a run of this night has begun. Raises `Unavailable`."""
        expires_at = int((now + KEPT_FOR).timestamp())
        begun = {":begun_at": int(now.timestamp()), ":failed": False, ":expires_at": expires_at}
        self._update(night, begun)

    def record_failure(self, night: date) -> None:
        """Record that the night's run has failed and was counted. Raises `Unavailable`."""
        self._update(night, {":failed": True})

    def nights_without_mail(self, night: date, *, now: datetime) -> tuple[NightWithoutMail, ...]:
        """Return the nights since the last mail whose run has ended without one, the oldest first.

        Raises `Unavailable`.
        """
        found: list[NightWithoutMail] = []
        for item in reversed(self._earlier_items(night)):
            if item.get("mail", {}).get("S") in (MailStatus.SENT, MailStatus.SILENT):
                break
            failed = item.get("failed", {}).get("BOOL", False)
            begun_at = int(item["begun_at"]["N"]) if "begun_at" in item else 0
            if failed or begun_at < (now - LONGEST_RUN).timestamp():
                found.append(NightWithoutMail(date.fromisoformat(item["night"]["S"]), failed))
        return tuple(reversed(found))

    def pauses_named_until(self, night: date, *, now: datetime) -> int:
        """Return the Unix second up to which the mails of earlier nights have named every new pause.

        A night has named none if it sent nothing, because all was clear or the run failed, or could not read them.
        Where no night has, it is the time of the oldest that is remembered, or a day ago without any. Raises
        `Unavailable`.
        """
        items = self._earlier_items(night)
        for item in reversed(items):
            until = int(item.get("pauses_until", {}).get("N", 0))
            if until and item.get("mail", {}).get("S") == MailStatus.SENT:
                return until
        return int((now - timedelta(days=REMEMBERED_NIGHTS if items else 1)).timestamp())

    def _earlier_items(self, night: date) -> list[Mapping[str, Any]]:
        """Return the items of the 29 nights before this one, the oldest first."""
        keys = [_key(night - timedelta(days=days)) for days in range(1, REMEMBERED_NIGHTS + 1)]
        try:
            answer = self._client.batch_get_item(RequestItems={self._table_name: {"Keys": keys}})
        except (ClientError, BotoCoreError) as error:
            raise _failure(error) from error
        if answer.get("UnprocessedKeys"):
            raise Unavailable("nights_unavailable", "The table of nights left out keys")
        items: list[Mapping[str, Any]] = list(answer["Responses"].get(self._table_name, []))
        return sorted(items, key=lambda item: str(item["night"]["S"]))

    def claim(self, night: date, run: str, report: Report, *, now: datetime, again: bool) -> bool:
        """Claim the night's mail for this run and store the night's totals; return whether it was claimed.

        The run that holds the claim may take it again after an interruption; another run only when the holder has died
        or its mail was refused, or when asked to send `again`. Raises `Unavailable`.
        """
        values: dict[str, Any] = {
            ":run": run,
            ":claimed_at": int(now.timestamp()),
            ":mail": MailStatus.SENDING.value,
            ":expires_at": int((now + KEPT_FOR).timestamp()),
            ":complete": report.complete,
            ":subscriptions_paused": len(report.paused),
            ":customers_served_free": report.customers_served_free,
            # Without them, an earlier run of this night may have read them: then its mail was not sent.
            ":pauses_until": report.pauses_until or 0,
            ":totals": {currency: str(amount) for currency, amount in report.totals.items()},
        }
        if again:
            return self._update(night, values)
        others = {":dead": int((now - SENDING_TAKES).timestamp()), ":refused": MailStatus.REFUSED.value}
        return self._update(night, values, _MAY_SEND, others)

    def record_mail(self, night: date, mail: MailStatus) -> None:
        """Record what became of the mail. Raises `Unavailable`."""
        self._update(night, {":mail": mail.value})

    def _update(
        self,
        night: date,
        values: Mapping[str, Any],
        condition: str | None = None,
        more: Mapping[str, Any] | None = None,
    ) -> bool:
        """Set attributes, each named as its value is; return whether the condition held."""
        request: dict[str, Any] = {
            "TableName": self._table_name,
            "Key": _key(night),
            "UpdateExpression": "SET " + ", ".join(f"#{name[1:]} = {name}" for name in values),
            "ExpressionAttributeNames": {f"#{name[1:]}": name[1:] for name in values},
            "ExpressionAttributeValues": {name: serialize(value) for name, value in {**values, **(more or {})}.items()},
        }
        if condition:
            request["ConditionExpression"] = condition
        try:
            self._client.update_item(**request)
        except self._client.exceptions.ConditionalCheckFailedException:
            return False
        except (ClientError, BotoCoreError) as error:
            raise _failure(error) from error
        return True


def last_complete(nights: Sequence[PastNight]) -> PastNight | None:
    """Return the last night whose report was complete; only such a night can be compared with."""
    return next((each for each in reversed(nights) if each.complete), None)


def _key(night: date) -> dict[str, Any]:
    return {"night": {"S": night.isoformat()}}


def _past_night(item: Mapping[str, Any]) -> PastNight:
    return PastNight(
        date.fromisoformat(item["night"]["S"]),
        item["complete"]["BOOL"],
        int(item["subscriptions_paused"]["N"]),
        int(item["customers_served_free"]["N"]),
        {currency: Decimal(amount["S"]) for currency, amount in item["totals"]["M"].items()},
    )


def _failure(error: ClientError | BotoCoreError) -> Unavailable | OperatorError:
    if is_refusal(error):
        return OperatorError("nights_refused", f"The function may not use the table of nights ({code_of(error)})")
    return Unavailable("nights_unavailable", f"The table of nights did not answer ({code_of(error)})")
