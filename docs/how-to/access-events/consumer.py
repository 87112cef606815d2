"""A consumer of SubscriptionAccessChanged: a Lambda function behind an SQS queue. Needs boto3, which Lambda has."""

import json
import os
from contextlib import suppress
from typing import Any

import boto3

table = boto3.resource("dynamodb").Table(os.environ["NEWEST_TABLE"])


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    """Act on the newest event of each customer; what fails comes again."""
    failures = []
    for record in event["Records"]:
        try:
            detail = json.loads(record["body"])["detail"]
            keep_newest(detail)
            act_on_newest(detail["customer_id"])
        except Exception as error:
            print(f"{record['messageId']} comes again: {error!r}")
            failures.append({"itemIdentifier": record["messageId"]})
    return {"batchItemFailures": failures}


def keep_newest(detail: dict[str, Any]) -> None:
    """Keep an event, unless one that is as new is kept already."""
    item = {"customer_id": detail["customer_id"], "version": detail["version"], "detail": json.dumps(detail)}
    with suppress(table.meta.client.exceptions.ConditionalCheckFailedException):
        table.put_item(
            Item=item,
            ConditionExpression="attribute_not_exists(version) OR version < :version",
            ExpressionAttributeValues={":version": detail["version"]},
        )


def act_on_newest(customer: str) -> None:
    """Act until nothing newer has come meanwhile: another invocation may have been faster with it."""
    acted = None
    while (newest := newest_of(customer)) != acted:
        open_or_close(newest)
        acted = newest


def newest_of(customer: str) -> dict[str, Any]:
    """The newest event of a customer."""
    item = table.get_item(Key={"customer_id": customer}, ConsistentRead=True)["Item"]
    return json.loads(item["detail"])


def open_or_close(detail: dict[str, Any]) -> None:
    """Your own part. It must not mind being repeated: set a state, do not toggle one."""
    print(detail["customer_id"], "open" if detail["granted"] else "closed", detail["reason"])
