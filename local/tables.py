"""Makes a DynamoDB table from the properties that CloudFormation has for it."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from local.intrinsics import TemplateError

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient

_AT_CREATION = frozenset(
    {
        "AttributeDefinitions",
        "BillingMode",
        "GlobalSecondaryIndexes",
        "KeySchema",
        "LocalSecondaryIndexes",
        "ProvisionedThroughput",
        "StreamSpecification",
    },
)
_AFTERWARDS = frozenset({"PointInTimeRecoverySpecification", "TimeToLiveSpecification"})
# They change nothing that a program on this machine could see.
_WITHOUT_LOCAL_MEANING = frozenset({"DeletionProtectionEnabled", "SSESpecification", "TableName", "Tags"})


def create_table(client: "DynamoDBClient", name: str, properties: Mapping[str, Any]) -> None:
    """Create a table with its keys, indexes and time to live.

    Raises `TemplateError` naming a property that is not carried out here.
    """
    if unknown := sorted(properties.keys() - _AT_CREATION - _AFTERWARDS - _WITHOUT_LOCAL_MEANING):
        raise TemplateError(f"The local stack does not know these properties of table {name}: {', '.join(unknown)}")
    at_creation: dict[str, Any] = {key: value for key, value in properties.items() if key in _AT_CREATION}
    client.create_table(TableName=name, **at_creation)
    if time_to_live := properties.get("TimeToLiveSpecification"):
        client.update_time_to_live(TableName=name, TimeToLiveSpecification=time_to_live)
    if recovery := properties.get("PointInTimeRecoverySpecification"):
        client.update_continuous_backups(TableName=name, PointInTimeRecoverySpecification=recovery)
