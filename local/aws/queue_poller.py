"""Lambda's event source mappings in this process: polls queues and invokes functions with their messages."""

import logging
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import time_machine
from botocore.exceptions import BotoCoreError, ClientError

from local.aws.lambda_function import LambdaFunction
from local.aws.template import Template

if TYPE_CHECKING:
    from types_boto3_sqs import SQSClient
    from types_boto3_sqs.type_defs import MessageTypeDef

logger = logging.getLogger(__name__)

POLL_SECONDS = 0.5


class Poller(Protocol):
    """Passes on what has come since it was last asked."""

    def poll(self) -> int:
        """Return how much that was."""


@dataclass(frozen=True, slots=True)
class QueuePoller:
    """One queue and the function that takes its messages."""

    sqs: "SQSClient"
    queue_url: str
    function: LambdaFunction
    batch_size: int
    failed: set[str] = field(default_factory=set)
    """The receipt handles of the messages that the last batch left in the queue."""

    def poll(self) -> int:
        """Receive one batch, and delete what the function took; return how many messages there were."""
        messages = self.sqs.receive_message(
            QueueUrl=self.queue_url,
            MaxNumberOfMessages=self.batch_size,
            MessageAttributeNames=["All"],
            MessageSystemAttributeNames=["All"],
        ).get("Messages", [])
        if not messages:
            return 0
        answer = self.function.invoke({"Records": [record_of(message) for message in messages]})
        failed = {failure["itemIdentifier"] for failure in answer["batchItemFailures"]}
        self.failed.clear()
        for message in messages:
            if message["MessageId"] in failed:
                self.failed.add(message["ReceiptHandle"])
            else:
                self.sqs.delete_message(QueueUrl=self.queue_url, ReceiptHandle=message["ReceiptHandle"])
        return len(messages)


def record_of(message: "MessageTypeDef") -> dict[str, Any]:
    """Return a message in the form in which Lambda passes it to a function."""
    return {
        "messageId": message["MessageId"],
        "receiptHandle": message["ReceiptHandle"],
        "body": message["Body"],
        "attributes": _attributes(message),
        "messageAttributes": {
            name: {"stringValue": value.get("StringValue", ""), "dataType": value["DataType"]}
            for name, value in message.get("MessageAttributes", {}).items()
        },
        "eventSource": "aws:sqs",
    }


def _attributes(message: "MessageTypeDef") -> dict[str, str]:
    """Return SQS's attributes; the local SQS does not know the stack's clock, and the functions know no other."""
    attributes = {str(name): value for name, value in message.get("Attributes", {}).items()}
    if "SentTimestamp" in attributes and time_machine.escape_hatch.is_travelling():
        ahead = time.time() - time_machine.escape_hatch.time.time()
        attributes["SentTimestamp"] = str(int(attributes["SentTimestamp"]) + round(ahead * 1000))
    return attributes


def queue_pollers(
    template: Template, sqs: "SQSClient", functions: Mapping[str, LambdaFunction]
) -> tuple[QueuePoller, ...]:
    """Return a poller for each of the template's event source mappings."""
    arns = template.arns("AWS::Serverless::Function")
    queues = template.arns("AWS::SQS::Queue")
    return tuple(
        QueuePoller(
            sqs,
            template.ref(queues[mapping["EventSourceArn"]]),
            functions[arns[mapping["FunctionName"]]],
            int(mapping["BatchSize"]),
        )
        for mapping in template.resources("AWS::Lambda::EventSourceMapping").values()
        if mapping["EventSourceArn"] in queues
    )


@contextmanager
def polling(pollers: Sequence[Poller], stalled: threading.Event | None = None) -> Iterator[None]:
    """Poll while the `with` block runs, but no queues while `stalled` is set."""
    stop = threading.Event()

    def is_due(poller: Poller) -> bool:
        return not (stalled and stalled.is_set() and isinstance(poller, QueuePoller))

    def poll_all() -> None:
        while not stop.is_set():
            busy = sum([_poll(poller) for poller in pollers if is_due(poller)])
            if not busy:
                stop.wait(POLL_SECONDS)

    thread = threading.Thread(target=poll_all, name="queues", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(5)


def _poll(poller: Poller) -> int:
    """Poll once; what a function fails on comes again, as on Lambda, and the others go on."""
    try:
        return poller.poll()
    except (BotoCoreError, ClientError):
        return 0  # AWS is starting or stopping
    except Exception:
        logger.exception("A function failed")
        return 0
