"""Reads template.yaml, so that what runs and is tested locally is what gets deployed."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import yaml

from local.aws.intrinsics import Intrinsics, PhysicalNames, TemplateError, TemplateLoader

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient


TEMPLATE_PATH = Path(__file__).parents[2] / "template.yaml"
FUNCTION = "AWS::Serverless::Function"
TABLE = "AWS::DynamoDB::Table"


@dataclass(frozen=True, slots=True)
class Function:
    """A Lambda function of the template; `handler` is `package.module.function`, times are in seconds."""

    logical_id: str
    handler: str
    timeout: int
    memory_size: int
    durable: bool = False


@dataclass(frozen=True, slots=True)
class JwtAuthorizer:
    """The issuer and the audiences, one of which a route's token must have."""

    issuer: str
    audience: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Route:
    """A route of the HTTP API, such as `GET /portal`, its function and its authorizer."""

    key: str
    function_id: str
    authorizer: JwtAuthorizer | None = None


class Template:
    """A template with a value for every parameter; its methods return resolved values."""

    def __init__(self, document: Mapping[str, Any], parameters: Mapping[str, str], names: PhysicalNames) -> None:
        self._document = document
        self._names = names
        self._parameters = self._all_parameters(parameters)
        self._intrinsics = Intrinsics(document.get("Conditions", {}), self._ref, self._get_att)

    @classmethod
    def load(
        cls,
        path: Path = TEMPLATE_PATH,
        *,
        parameters: Mapping[str, str] | None = None,
        names: PhysicalNames | None = None,
    ) -> Self:
        """Read a template. Raises `TemplateError` if a parameter has neither a value nor a default."""
        return cls(_parse(path.read_text(encoding="utf-8")), parameters or {}, names or PhysicalNames())

    def resources(self, kind: str) -> dict[str, dict[str, Any]]:
        """Return the resolved properties of all resources of a type whose condition holds, by logical id."""
        return {
            logical_id: self._intrinsics.resolve(resource.get("Properties", {}))
            for logical_id, resource in self._document["Resources"].items()
            if resource["Type"] == kind
            and ("Condition" not in resource or self._intrinsics.holds(resource["Condition"]))
        }

    def ref(self, logical_id: str) -> str:
        """Return the local value of `!Ref logical_id`."""
        return str(self._ref(logical_id))

    def arns(self, kind: str) -> dict[str, str]:
        """Return the logical ids of all resources of a type by their ARNs."""
        return {self._get_att(logical_id, "Arn"): logical_id for logical_id in self.resources(kind)}

    def functions(self) -> dict[str, Function]:
        """Return the functions by logical id, the template's globals applied."""
        defaults = self._function_globals()
        functions = {}
        for logical_id, own in self.resources(FUNCTION).items():
            properties = {**defaults, **own}
            functions[logical_id] = Function(
                logical_id,
                properties["Handler"],
                int(properties.get("Timeout", 3)),
                int(properties.get("MemorySize", 128)),
                "DurableConfig" in properties,
            )
        return functions

    def environment(self, function_id: str, overrides: Mapping[str, str] | None = None) -> dict[str, str]:
        """Return the environment variables of a function, with `overrides` replacing or adding some."""
        functions = self.resources(FUNCTION)
        if function_id not in functions:
            raise TemplateError(f"The template has no function {function_id}")
        variables = {**_variables(self._function_globals()), **_variables(functions[function_id])}
        return {**{name: _text(name, value) for name, value in variables.items()}, **(overrides or {})}

    def routes(self) -> list[Route]:
        """Return the HTTP API's routes. Raises `TemplateError` for an integration that the gateway does not support."""
        functions = self.arns(FUNCTION)
        function_ids: dict[str, str] = {}
        for logical_id, integration in self.resources("AWS::ApiGatewayV2::Integration").items():
            form = (integration["IntegrationType"], integration.get("PayloadFormatVersion"))
            if form != ("AWS_PROXY", "2.0") or integration["IntegrationUri"] not in functions:
                raise TemplateError(
                    f"The local gateway supports only AWS_PROXY 2.0 integrations with a function: see {logical_id}"
                )
            function_ids[f"integrations/{logical_id}"] = functions[integration["IntegrationUri"]]
        routes = []
        for logical_id, route in self.resources("AWS::ApiGatewayV2::Route").items():
            if route.get("Target") not in function_ids:
                raise TemplateError(f"The route {logical_id} has no integration: {route.get('Target')}")
            routes.append(Route(route["RouteKey"], function_ids[route["Target"]], self._authorizer(logical_id, route)))
        return routes

    def _authorizer(self, logical_id: str, route: Mapping[str, Any]) -> JwtAuthorizer | None:
        kind = route.get("AuthorizationType", "NONE")
        if kind == "NONE":
            return None
        found = self.resources("AWS::ApiGatewayV2::Authorizer").get(route.get("AuthorizerId", ""), {})
        if kind != "JWT" or found.get("IdentitySource") != ["$request.header.Authorization"]:
            raise TemplateError(f"The local gateway supports only JWT authorizers on `Authorization`: see {logical_id}")
        configuration = found["JwtConfiguration"]
        return JwtAuthorizer(configuration["Issuer"], tuple(configuration["Audience"]))

    def outputs(self) -> dict[str, str]:
        """Return every output with its local value."""
        return {
            name: str(self._intrinsics.resolve(output["Value"]))
            for name, output in self._document.get("Outputs", {}).items()
            if "Condition" not in output or self._intrinsics.holds(output["Condition"])
        }

    def parameters(self) -> dict[str, str]:
        """Return the value of every parameter in the form that CloudFormation reports."""
        values = self._parameters.items()
        return {name: ",".join(value) if isinstance(value, list) else str(value) for name, value in values}

    def create_tables(self, client: "DynamoDBClient") -> list[str]:
        """Create every table of the template and return their names."""
        return [self.create_table(client, logical_id) for logical_id in self.resources(TABLE)]

    def create_table(self, client: "DynamoDBClient", logical_id: str) -> str:
        """Create one table and return its name."""
        create_table(client, self.ref(logical_id), self.resources(TABLE)[logical_id])
        return self.ref(logical_id)

    def _function_globals(self) -> dict[str, Any]:
        found = self._intrinsics.resolve(self._document.get("Globals", {}).get("Function", {}))
        return dict(found)

    def _all_parameters(self, given: Mapping[str, str]) -> dict[str, Any]:
        declared = self._document.get("Parameters", {})
        if unknown := sorted(given.keys() - declared.keys()):
            raise TemplateError(f"The template has no parameter {', '.join(unknown)}")
        values = {
            name: given.get(name, parameter["Default"]) if "Default" in parameter else given.get(name)
            for name, parameter in declared.items()
        }
        if missing := [name for name, value in values.items() if value is None]:
            raise TemplateError(f"These parameters of the template need a value: {', '.join(missing)}")
        return {
            name: str(value).split(",") if declared[name]["Type"] == "CommaDelimitedList" else str(value)
            for name, value in values.items()
        }

    def _ref(self, name: str) -> Any:
        if name in self._parameters:
            return self._parameters[name]
        if name.startswith("AWS::"):
            return self._names.pseudo(name)
        return self._names.ref(name, self._kind(name))

    def _get_att(self, logical_id: str, attribute: str) -> str:
        return self._names.attribute(logical_id, self._kind(logical_id), attribute)

    def _kind(self, logical_id: str) -> str:
        if logical_id not in self._document["Resources"]:
            raise TemplateError(f"The template has no parameter or resource {logical_id}")
        return str(self._document["Resources"][logical_id]["Type"])


@lru_cache(maxsize=4)
def _parse(text: str) -> Mapping[str, Any]:
    """Parse a template. Whoever loads the same text again shares the document, and must not change it."""
    document: Mapping[str, Any] = yaml.load(text, TemplateLoader)  # noqa: S506 - built on SafeLoader
    return document


def _variables(properties: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = properties.get("Environment", {}).get("Variables", {})
    return found


def _text(name: str, value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (dict, list)):
        raise TemplateError(f"The environment variable {name} is not text, but a {type(value).__name__}")
    return str(value)


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
# These change nothing that a program on this machine could observe.
_WITHOUT_LOCAL_MEANING = frozenset({"DeletionProtectionEnabled", "SSESpecification", "TableName", "Tags"})


def at_creation(properties: Mapping[str, Any]) -> dict[str, Any]:
    """Return what of a table's properties `CreateTable` takes; CloudFormation leaves out that a stream is enabled."""
    request = {key: value for key, value in properties.items() if key in _AT_CREATION}
    if stream := request.get("StreamSpecification"):
        request["StreamSpecification"] = {**stream, "StreamEnabled": True}
    return request


def create_table(client: "DynamoDBClient", name: str, properties: Mapping[str, Any]) -> None:
    """Create a table with its keys, indexes and time to live.

    Raises `TemplateError` for a property that is not supported here.
    """
    if unknown := sorted(properties.keys() - _AT_CREATION - _AFTERWARDS - _WITHOUT_LOCAL_MEANING):
        raise TemplateError(f"The local stack does not support these properties of table {name}: {', '.join(unknown)}")
    client.create_table(TableName=name, **at_creation(properties))
    if time_to_live := properties.get("TimeToLiveSpecification"):
        client.update_time_to_live(TableName=name, TimeToLiveSpecification=time_to_live)
    if recovery := properties.get("PointInTimeRecoverySpecification"):
        client.update_continuous_backups(TableName=name, PointInTimeRecoverySpecification=recovery)
