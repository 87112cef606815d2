"""moto behind one lock, and what the template makes in it."""

import json
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import time_machine

from local.aws.server import OneAtATime
from local.site.mails import read_outbox
from tests.integration.conftest import LINK_SECRET, SENDER, Aws

THREADS = 8


def at_once(count: int, work: Callable[[int], bool]) -> int:
    """How often `work` answered true, of `count` calls by eight threads."""
    with ThreadPoolExecutor(THREADS) as pool:
        return sum(pool.map(work, range(count)))


def test_concurrent_updates_of_one_item_all_count(aws: Aws) -> None:
    key = {"customer_id": {"S": "cus_1"}, "subscription_id": {"S": "sub_1"}}

    def add(_: int) -> bool:
        aws.clients.dynamodb.update_item(
            TableName="Subscriptions",
            Key=key,
            UpdateExpression="ADD revision :one",
            ExpressionAttributeValues={":one": {"N": "1"}},
        )
        return True

    assert at_once(240, add) == 240
    assert aws.clients.dynamodb.get_item(TableName="Subscriptions", Key=key)["Item"]["revision"] == {"N": "240"}


def test_of_concurrent_conditional_writes_exactly_one_wins(aws: Aws) -> None:
    def put(number: int) -> bool:
        item = {"customer_id": {"S": "cus_1"}, "subscription_id": {"S": f"sub_{number // THREADS}"}}
        try:
            aws.clients.dynamodb.put_item(
                TableName="Subscriptions",
                Item=item,
                ConditionExpression="attribute_not_exists(customer_id)",
            )
        except aws.clients.dynamodb.exceptions.ConditionalCheckFailedException:
            return False
        return True

    assert at_once(30 * THREADS, put) == 30


def test_one_request_is_inside_at_a_time() -> None:
    inside, most = 0, 0

    def application(_environ: object, _start: object) -> list[bytes]:
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        threading.Event().wait(0.001)
        inside -= 1
        return [b"done"]

    wrapped = OneAtATime(application)
    assert at_once(50, lambda _: list(wrapped({}, lambda *_: lambda _: None)) == [b"done"]) == 50
    assert most == 1


def test_the_table_is_as_the_template_says(aws: Aws) -> None:
    table = aws.clients.dynamodb.describe_table(TableName="Subscriptions")["Table"]
    assert table["KeySchema"] == [
        {"AttributeName": "customer_id", "KeyType": "HASH"},
        {"AttributeName": "subscription_id", "KeyType": "RANGE"},
    ]
    ttl = aws.clients.dynamodb.describe_time_to_live(TableName="Subscriptions")["TimeToLiveDescription"]
    assert ttl == {"TimeToLiveStatus": "ENABLED", "AttributeName": "expires_at"}


def test_the_queue_and_the_secret_are_where_the_outputs_say(aws: Aws) -> None:
    outputs = aws.template.outputs()
    queue = aws.clients.sqs.get_queue_attributes(QueueUrl=outputs["DeadLetterQueueUrl"], AttributeNames=["All"])
    assert queue["Attributes"]["MessageRetentionPeriod"] == "1209600"
    read = aws.clients.secretsmanager.get_secret_value
    assert "stripe_api_key" in read(SecretId=outputs["SecretArn"])["SecretString"]
    assert json.loads(read(SecretId=outputs["LinkSecretsArn"])["SecretString"]) == {"1": LINK_SECRET}


def test_mails_are_read_back_in_their_parts(aws: Aws) -> None:
    raw = (
        "Subject: =?utf-8?q?Caf=C3=A9?=\r\nFrom: a@shop.example\r\nTo: b@shop.example\r\nMIME-Version: 1.0\r\n"
        "Content-Type: multipart/mixed; boundary=x\r\n\r\n"
        "--x\r\nContent-Type: multipart/alternative; boundary=y\r\n\r\n"
        "--y\r\nContent-Type: text/plain\r\n\r\nhello\r\n"
        "--y\r\nContent-Type: text/html\r\n\r\n<p>hello</p>\r\n--y--\r\n"
        "--x\r\nContent-Type: text/csv\r\nContent-Disposition: attachment; filename=a.csv\r\n\r\n1,2\r\n--x--\r\n"
    )
    aws.clients.sesv2.send_email(FromEmailAddress=SENDER, Content={"Raw": {"Data": raw.encode()}})
    aws.clients.sesv2.send_email(
        FromEmailAddress=SENDER,
        Destination={"ToAddresses": ["c@shop.example"]},
        Content={"Simple": {"Subject": {"Data": "plain"}, "Body": {"Text": {"Data": "just text"}}}},
    )
    first, second = read_outbox(aws.url)
    # As of the clock that the sender has, and not of the server's.
    with time_machine.travel(datetime(2027, 2, 3, 4, 5, tzinfo=UTC), tick=False):
        aws.clients.sesv2.send_email(FromEmailAddress=SENDER, Content={"Raw": {"Data": raw.encode()}})
    assert "2027-02-03 04:05 UTC" in {mail.date for mail in read_outbox(aws.url)}
    assert (first.subject, first.text.strip(), first.html.strip()) == ("Café", "hello", "<p>hello</p>")
    assert [(one.name, one.content_type, one.content.strip()) for one in first.attachments] == [
        ("a.csv", "text/csv", b"1,2")
    ]
    assert (second.subject, second.recipients, second.text) == ("plain", "c@shop.example", "just text")
