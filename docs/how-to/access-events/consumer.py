"""A consumer of SubscriptionAccessChanged: a Lambda function behind an SQS queue. Needs boto3, which Lambda has."""

import json
import os
from contextlib import suppress
from typing import Any

import boto3

table = boto3.resource("dynamodb").Table(os.environ["SEEN_TABLE"])


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    """Act on each event that is newer than what was seen of its customer; what fails comes again."""
    failures = []
    for record in event["Records"]:
        try:
            detail = json.loads(record["body"])["detail"]
            if is_newer(detail["customer_id"], detail["version"]):
                open_or_close(detail)
                remember(detail["customer_id"], detail["version"])
        except Exception as error:
            print(f"{record['messageId']} comes again: {error!r}")
            failures.append({"itemIdentifier": record["messageId"]})
    return {"batchItemFailures": failures}


def is_newer(customer: str, version: int) -> bool:
    """Whether nothing as new was done for this customer before."""
    seen = table.get_item(Key={"customer_id": customer}, ConsistentRead=True).get("Item", {})
    return version > seen.get("version", 0)


def remember(customer: str, version: int) -> None:
    """Only after acting on it: if this is interrupted, the event comes again."""
    # The condition fails if something newer was done meanwhile.
    with suppress(table.meta.client.exceptions.ConditionalCheckFailedException):
        table.put_item(
            Item={"customer_id": customer, "version": version},
            ConditionExpression="attribute_not_exists(version) OR version < :version",
            ExpressionAttributeValues={":version": version},
        )


def open_or_close(detail: dict[str, Any]) -> None:
    """Your own part. It must not mind being repeated: set a state, do not toggle one."""
    print(detail["customer_id"], "open" if detail["granted"] else "closed", detail["reason"])
