"""DynamoDB's streams in this process: polls the stream of a table and invokes the function with its records."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from local.aws.lambda_function import LambdaFunction
from local.aws.resources import AwsClients
from local.aws.template import Template

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient
    from types_boto3_dynamodbstreams import DynamoDBStreamsClient


@dataclass(slots=True)
class StreamPoller:
    """One table and the function that takes the records of its stream, from the first one on.

    The local server has one shard for each stream. Records that the function names as failed come again with the next
    poll, and those after the first of them too, as on Lambda.
    """

    dynamodb: "DynamoDBClient"
    streams: "DynamoDBStreamsClient"
    table: str
    function: LambdaFunction
    batch_size: int
    _after: str | None = field(default=None, init=False)

    def poll(self) -> int:
        """Read one batch of records and pass them to the function; return how many it took."""
        records: list[Any] = list(self._read())
        if not records:
            return 0
        answer = self.function.invoke({"Records": [record_of(record) for record in records]})
        numbers = [record["dynamodb"]["SequenceNumber"] for record in records]
        failed = {failure["itemIdentifier"] for failure in answer["batchItemFailures"]}
        taken = next((index for index, number in enumerate(numbers) if number in failed), len(numbers))
        if taken:
            self._after = numbers[taken - 1]
        return taken

    def _read(self) -> list[Any]:
        arn = self.dynamodb.describe_table(TableName=self.table)["Table"]["LatestStreamArn"]
        (shard,) = self.streams.describe_stream(StreamArn=arn)["StreamDescription"]["Shards"]
        where: Any = {"StreamArn": arn, "ShardId": shard["ShardId"]}
        if self._after is None:
            where |= {"ShardIteratorType": "TRIM_HORIZON"}
        else:
            where |= {"ShardIteratorType": "AFTER_SEQUENCE_NUMBER", "SequenceNumber": self._after}
        iterator = self.streams.get_shard_iterator(**where)["ShardIterator"]
        return list(self.streams.get_records(ShardIterator=iterator, Limit=self.batch_size)["Records"])


def record_of(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return a record in the form in which Lambda passes it to a function: its time is a number."""
    change = record["dynamodb"]
    at = change["ApproximateCreationDateTime"].timestamp()
    return {**record, "eventSource": "aws:dynamodb", "dynamodb": {**change, "ApproximateCreationDateTime": at}}


def stream_pollers(
    template: Template, clients: AwsClients, functions: Mapping[str, LambdaFunction]
) -> tuple[StreamPoller, ...]:
    """Return a poller for each of the template's event source mappings of a table's stream."""
    arns = template.arns("AWS::Serverless::Function")
    tables = {f"{arn}/stream": table for arn, table in template.arns("AWS::DynamoDB::Table").items()}
    return tuple(
        StreamPoller(
            clients.dynamodb,
            clients.dynamodbstreams,
            template.ref(tables[mapping["EventSourceArn"]]),
            functions[arns[mapping["FunctionName"]]],
            int(mapping["BatchSize"]),
        )
        for mapping in template.resources("AWS::Lambda::EventSourceMapping").values()
        if mapping["EventSourceArn"] in tables
    )
