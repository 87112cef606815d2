"""CloudFormation's intrinsic functions and the physical names behind them, as far as template.yaml uses them."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

NO_VALUE = object()
_VARIABLE = re.compile(r"\$\{(!?)([^}]+)\}")


class TemplateError(Exception):
    """Raised when the template contains something that the local stack does not support; the message names it."""


class TemplateLoader(yaml.SafeLoader):
    """YAML with CloudFormation's short tags: `!Ref X` becomes `{"Ref": "X"}`, `!Sub x` `{"Fn::Sub": "x"}`."""


def _construct_tag(loader: TemplateLoader, name: str, node: yaml.Node) -> Any:
    value: Any
    match node:
        case yaml.ScalarNode():
            value = loader.construct_scalar(node)
        case yaml.SequenceNode():
            value = loader.construct_sequence(node, deep=True)
        case _:
            value = loader.construct_mapping(node, deep=True)  # type: ignore[arg-type]  # YAML has three kinds of nodes
    if name == "GetAtt" and isinstance(value, str):
        value = value.split(".", 1)
    return {name if name in {"Ref", "Condition"} else f"Fn::{name}": value}


TemplateLoader.add_multi_constructor("!", _construct_tag)


class Intrinsics:
    """Resolves a part of the template to plain values; `ref` and `get_att` give the values of names and attributes."""

    def __init__(
        self,
        conditions: Mapping[str, Any],
        ref: Callable[[str], Any],
        get_att: Callable[[str, str], str],
    ) -> None:
        self._conditions = conditions
        self._ref = ref
        self._get_att = get_att
        self._functions: Mapping[str, Callable[[Any], Any]] = {
            "Ref": ref,
            "Condition": self.holds,
            "Fn::GetAtt": self._attribute,
            "Fn::Sub": self._substitute,
            "Fn::Join": self._join,
            "Fn::Split": lambda both: str(self.resolve(both[1])).split(both[0]),
            "Fn::Select": lambda both: self.resolve(both[1])[int(both[0])],
            "Fn::If": self._if,
            "Fn::Equals": lambda both: self.resolve(both[0]) == self.resolve(both[1]),
            "Fn::Not": lambda one: not self.resolve(one[0]),
            "Fn::And": lambda all_: all(self.resolve(each) for each in all_),
            "Fn::Or": lambda any_: any(self.resolve(each) for each in any_),
        }

    def holds(self, condition: str) -> bool:
        """Whether a condition of the template is true."""
        if condition not in self._conditions:
            raise TemplateError(f"The template has no condition {condition}")
        return bool(self.resolve(self._conditions[condition]))

    def resolve(self, node: Any) -> Any:
        """Return the plain value; a key or entry that resolves to `AWS::NoValue` is left out."""
        match node:
            case dict() if len(node) == 1 and (name := next(iter(node))) in self._functions:
                return self._functions[name](node[name])
            case dict():
                if unknown := [name for name in node if str(name).startswith("Fn::")]:
                    raise TemplateError(f"The local stack does not support {unknown[0]}")
                resolved = {name: self.resolve(value) for name, value in node.items()}
                return {name: value for name, value in resolved.items() if value is not NO_VALUE}
            case list():
                return [value for value in map(self.resolve, node) if value is not NO_VALUE]
            case _:
                return node

    def _attribute(self, path: list[str]) -> str:
        return self._get_att(path[0], ".".join(path[1:]))

    def _if(self, arguments: list[Any]) -> Any:
        condition, when_true, when_false = arguments
        return self.resolve(when_true if self.holds(condition) else when_false)

    def _join(self, arguments: list[Any]) -> str:
        delimiter, parts = arguments
        return str(delimiter).join(map(str, self.resolve(parts)))

    def _substitute(self, arguments: str | list[Any]) -> str:
        text, own = (arguments, {}) if isinstance(arguments, str) else arguments

        def value(match: re.Match[str]) -> str:
            literal, name = match.groups()
            if literal:
                return f"${{{name}}}"
            if name in own:
                return str(self.resolve(own[name]))
            return str(self._get_att(*name.split(".", 1)) if "." in name else self._ref(name))

        return _VARIABLE.sub(value, text)


ACCOUNT_ID = "123456789012"
REGION = "eu-west-1"

_ARNS = {
    "AWS::ApiGatewayV2::Api": "apigateway:{region}::/apis/{id}",
    "AWS::DynamoDB::Table": "dynamodb:{region}:{account}:table/{id}",
    "AWS::Events::EventBus": "events:{region}:{account}:event-bus/{id}",
    "AWS::Logs::LogGroup": "logs:{region}:{account}:log-group:{id}:*",
    "AWS::S3::Bucket": "s3:::{id}",
    "AWS::SNS::Topic": "sns:{region}:{account}:{id}",
    "AWS::SQS::Queue": "sqs:{region}:{account}:{id}",
    "AWS::SecretsManager::Secret": "secretsmanager:{region}:{account}:secret:{id}",
    "AWS::Serverless::Function": "lambda:{region}:{account}:function:{id}",
}


@dataclass(frozen=True, slots=True)
class PhysicalNames:
    """Physical names, derived from logical ids and two addresses, so that they are known before anything runs."""

    aws_url: str = "http://127.0.0.1:5555"
    api_url: str = "http://127.0.0.1:8787"

    def pseudo(self, name: str) -> object:
        """Return a pseudo parameter such as `AWS::Region`."""
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
            raise TemplateError(f"The local stack does not support the pseudo parameter {name}")
        return known[name]

    def ref(self, logical_id: str, kind: str) -> str:
        """Return the value of `Ref`: the URL of a queue, the ARN of a secret or a topic, otherwise the name."""
        match kind:
            case "AWS::SQS::Queue":
                return f"{self.aws_url}/{ACCOUNT_ID}/{logical_id}"
            case "AWS::SecretsManager::Secret" | "AWS::SNS::Topic":
                return self.attribute(logical_id, kind, "Arn")
            case "AWS::S3::Bucket":
                return logical_id.lower()
            case _:
                return logical_id

    def attribute(self, logical_id: str, kind: str, name: str) -> str:
        """Return the value of `GetAtt`. Raises `TemplateError` for an attribute that has no local meaning."""
        if kind == "AWS::ApiGatewayV2::Api" and name == "ApiEndpoint":
            return self.api_url
        if kind == "AWS::ApiGatewayV2::DomainName" and name == "RegionalDomainName":
            return "d-local.execute-api.localhost"
        if kind == "AWS::SQS::Queue" and name == "QueueName":
            return logical_id
        if kind == "AWS::SQS::Queue" and name == "QueueUrl":
            return self.ref(logical_id, kind)
        if kind == "AWS::DynamoDB::Table" and name == "StreamArn":
            return f"{self.attribute(logical_id, kind, 'Arn')}/stream"
        if name == "Arn" and kind in _ARNS:
            own_id = self.ref(logical_id, kind) if kind == "AWS::S3::Bucket" else logical_id
            return "arn:aws:" + _ARNS[kind].format(region=REGION, account=ACCOUNT_ID, id=own_id)
        raise TemplateError(f"The local stack does not support the attribute {logical_id}.{name} of {kind}")
