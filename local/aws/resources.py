"""Creates the template's resources in moto, as CloudFormation would on AWS."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import boto3

from local.aws.intrinsics import REGION
from local.aws.template import Template

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient
    from types_boto3_dynamodbstreams import DynamoDBStreamsClient
    from types_boto3_events import EventBridgeClient
    from types_boto3_s3 import S3Client
    from types_boto3_secretsmanager import SecretsManagerClient
    from types_boto3_sesv2 import SESV2Client
    from types_boto3_sqs import SQSClient
    from types_boto3_sqs.literals import QueueAttributeNameType
    from types_boto3_ssm import SSMClient


_SECRET = "AWS::SecretsManager::Secret"  # noqa: S105 - the name of a type


@dataclass(frozen=True, slots=True)
class AwsClients:
    """boto3 clients for the local services."""

    dynamodb: "DynamoDBClient"
    dynamodbstreams: "DynamoDBStreamsClient"
    events: "EventBridgeClient"
    secretsmanager: "SecretsManagerClient"
    s3: "S3Client"
    sesv2: "SESV2Client"
    sqs: "SQSClient"
    ssm: "SSMClient"
    sns: Any

    @classmethod
    def at(cls, url: str) -> "AwsClients":
        """Return clients for the server at a URL, with made-up credentials."""
        session = boto3.Session("local", "local", region_name=REGION)
        return cls(
            session.client("dynamodb", endpoint_url=url),
            session.client("dynamodbstreams", endpoint_url=url),
            session.client("events", endpoint_url=url),
            session.client("secretsmanager", endpoint_url=url),
            session.client("s3", endpoint_url=url),
            session.client("sesv2", endpoint_url=url),
            session.client("sqs", endpoint_url=url),
            session.client("ssm", endpoint_url=url),
            session.client("sns", endpoint_url=url),
        )


def create_resources(
    template: Template, clients: AwsClients, *, sender: str, secrets: Mapping[str, Mapping[str, object]]
) -> None:
    """Create the template's tables, queues, topics, buckets, parameters and secrets; verify the sender (or its domain).

    `secrets` has the content of each secret by its logical id.
    """
    template.create_tables(clients.dynamodb)
    for queue_id, properties in template.resources("AWS::SQS::Queue").items():
        clients.sqs.create_queue(QueueName=queue_id, Attributes=_queue_attributes(properties))
    for bucket_id in template.resources("AWS::S3::Bucket"):
        region: Any = {"LocationConstraint": REGION}
        clients.s3.create_bucket(Bucket=template.ref(bucket_id), CreateBucketConfiguration=region)
    for secret_id in template.resources(_SECRET):
        clients.secretsmanager.create_secret(Name=secret_id, SecretString=json.dumps(secrets[secret_id]))
    for bus_id in template.resources("AWS::Events::EventBus"):
        clients.events.create_event_bus(Name=template.ref(bus_id))
    for topic_id in template.resources("AWS::SNS::Topic"):
        clients.sns.create_topic(Name=topic_id)
    for subscription in template.resources("AWS::SNS::Subscription").values():
        clients.sns.subscribe(**subscription)
    put_parameters(template, clients.ssm)
    clients.sesv2.create_email_identity(EmailIdentity=sender)


def put_parameters(template: Template, ssm: "SSMClient") -> None:
    """Write the SSM parameters of the template; with another template, as an update of the stack would."""
    for name, properties in template.resources("AWS::SSM::Parameter").items():
        ssm.put_parameter(Name=name, Value=properties["Value"], Type=properties["Type"], Overwrite=True)


def _queue_attributes(properties: Mapping[str, object]) -> "dict[QueueAttributeNameType, str]":
    """CloudFormation's properties are SQS's attributes, as text."""
    attributes: dict[Any, str] = {}
    for name, value in properties.items():
        if name not in {"QueueName", "Tags"}:
            attributes[name] = json.dumps(value) if isinstance(value, (bool, dict)) else str(value)
    return attributes
