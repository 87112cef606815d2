"""What the template's resources are called on this machine: the values of `Ref` and `GetAtt`."""

from dataclasses import dataclass

from local.intrinsics import NO_VALUE, TemplateError

ACCOUNT_ID = "123456789012"
REGION = "eu-west-1"

_ARNS = {
    "AWS::ApiGatewayV2::Api": "apigateway:{region}::/apis/{id}",
    "AWS::DynamoDB::Table": "dynamodb:{region}:{account}:table/{id}",
    "AWS::Events::EventBus": "events:{region}:{account}:event-bus/{id}",
    "AWS::Logs::LogGroup": "logs:{region}:{account}:log-group:{id}:*",
    "AWS::S3::Bucket": "s3:::{id}",
    "AWS::SQS::Queue": "sqs:{region}:{account}:{id}",
    "AWS::SecretsManager::Secret": "secretsmanager:{region}:{account}:secret:{id}",
    "AWS::Serverless::Function": "lambda:{region}:{account}:function:{id}",
}


@dataclass(frozen=True, slots=True)
class PhysicalNames:
    """Names that depend on the logical ids and the two addresses alone, so that they are known before anything runs."""

    aws_url: str = "http://127.0.0.1:5555"
    api_url: str = "http://127.0.0.1:8787"

    def pseudo(self, name: str) -> object:
        """Answer a pseudo parameter such as `AWS::Region`."""
        known: dict[str, object] = {
            "AWS::AccountId": ACCOUNT_ID,
            "AWS::NoValue": NO_VALUE,
            "AWS::Partition": "aws",
            "AWS::Region": REGION,
            "AWS::StackId": f"arn:aws:cloudformation:{REGION}:{ACCOUNT_ID}:stack/local/local",
            "AWS::StackName": "local",
            "AWS::URLSuffix": "amazonaws.com",
        }
        if name not in known:
            raise TemplateError(f"The local stack does not know the pseudo parameter {name}")
        return known[name]

    def ref(self, logical_id: str, kind: str) -> str:
        """Answer what CloudFormation's `Ref` gives: the URL of a queue, the ARN of a secret, else the name."""
        match kind:
            case "AWS::SQS::Queue":
                return f"{self.aws_url}/{ACCOUNT_ID}/{logical_id}"
            case "AWS::SecretsManager::Secret":
                return self.attribute(logical_id, kind, "Arn")
            case "AWS::S3::Bucket":
                return logical_id.lower()
            case _:
                return logical_id

    def attribute(self, logical_id: str, kind: str, name: str) -> str:
        """Answer `GetAtt`. Raises `TemplateError` for an attribute that has no local meaning."""
        if kind == "AWS::ApiGatewayV2::Api" and name == "ApiEndpoint":
            return self.api_url
        if kind == "AWS::SQS::Queue" and name == "QueueName":
            return logical_id
        if kind == "AWS::SQS::Queue" and name == "QueueUrl":
            return self.ref(logical_id, kind)
        if name == "Arn" and kind in _ARNS:
            own_id = self.ref(logical_id, kind) if kind == "AWS::S3::Bucket" else logical_id
            return "arn:aws:" + _ARNS[kind].format(region=REGION, account=ACCOUNT_ID, id=own_id)
        raise TemplateError(f"The local stack does not know the attribute {logical_id}.{name} of {kind}")
