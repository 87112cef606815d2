"""The template as the local stack and the integration tests read it."""

from pathlib import Path

import pytest

from local.aws.intrinsics import PhysicalNames, TemplateError
from local.aws.template import JwtAuthorizer, Route, Template

PARAMETERS = {
    "AllowedReturnOrigins": "https://a.example,https://b.example",
    "DefaultReturnUrl": "https://a.example/",
    "AuditEmailFrom": "audit@a.example",
    "AuditEmailTo": "team@a.example",
}
SMALL = """
Parameters:
  Flag: { Type: String, Default: "" }
  Origins: { Type: CommaDelimitedList, Default: "x,y" }
  Days: { Type: Number, Default: 3 }
Conditions:
  HasFlag: !Not [!Equals [!Ref Flag, ""]]
  Never: !And [!Condition HasFlag, !Or [!Equals [a, b]]]
Globals:
  Function:
    Timeout: 25
    Environment: { Variables: { SHARED: everywhere, LEVEL: INFO } }
Resources:
  OneFunction:
    Type: AWS::Serverless::Function
    Properties:
      Handler: functions.one.app.handler
      MemorySize: 512
      Environment:
        Variables:
          LEVEL: DEBUG
          ORIGINS: !Join ["|", !Ref Origins]
          DAYS: !Ref Days
          MAYBE: !If [HasFlag, !Ref Flag, none]
          LEFT_OUT: !If [HasFlag, x, !Ref "AWS::NoValue"]
          TABLE_ARN: !GetAtt Table.Arn
          SENTENCE: !Sub "${AWS::Region} ${Queue} ${Table.Arn} ${!literal}"
          NAMED: !Sub ["${who}!", { who: !Ref Table }]
  Table: { Type: AWS::DynamoDB::Table, Properties: {} }
  Queue: { Type: AWS::SQS::Queue }
  Conditional: { Type: AWS::SQS::Queue, Condition: HasFlag }
  Impossible: { Type: AWS::SQS::Queue, Condition: Never }
Outputs:
  TableName: { Value: !Ref Table }
  FlagOnly: { Value: x, Condition: HasFlag }
"""


def load(tmp_path: Path, text: str = SMALL, **parameters: str) -> Template:
    path = tmp_path / "template.yaml"
    path.write_text(text, encoding="utf-8")
    return Template.load(path, parameters=parameters, names=PhysicalNames("http://aws", "http://api"))


def test_a_function_has_its_own_variables_over_the_globals_with_every_intrinsic_resolved(tmp_path: Path) -> None:
    assert load(tmp_path).environment("OneFunction") == {
        "SHARED": "everywhere",
        "LEVEL": "DEBUG",
        "ORIGINS": "x|y",
        "DAYS": "3",
        "MAYBE": "none",
        "TABLE_ARN": "arn:aws:dynamodb:eu-west-1:123456789012:table/Table",
        "SENTENCE": "eu-west-1 http://aws/123456789012/Queue arn:aws:dynamodb:eu-west-1:123456789012:table/Table "
        "${literal}",
        "NAMED": "Table!",
    }


def test_a_parameter_decides_conditions_values_and_resources(tmp_path: Path) -> None:
    template = load(tmp_path, Flag="up")
    assert template.environment("OneFunction")["MAYBE"] == "up"
    assert template.environment("OneFunction")["LEFT_OUT"] == "x"
    assert set(template.resources("AWS::SQS::Queue")) == {"Queue", "Conditional"}
    assert template.outputs() == {"TableName": "Table", "FlagOnly": "x"}


def test_overrides_win_and_may_add(tmp_path: Path) -> None:
    environment = load(tmp_path).environment("OneFunction", {"LEVEL": "WARNING", "NEW": "1"})
    assert (environment["LEVEL"], environment["NEW"]) == ("WARNING", "1")


def test_globals_reach_the_function_itself(tmp_path: Path) -> None:
    function = load(tmp_path).functions()["OneFunction"]
    assert (function.timeout, function.memory_size, function.handler) == (25, 512, "functions.one.app.handler")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("!Ref Days", "!Ref Dayz", "no parameter or resource Dayz"),
        ("!Ref Days", '!ImportValue "a"', "does not support Fn::ImportValue"),
        ("!Ref Days", "!GetAtt Table.Moon", "attribute Table.Moon of AWS::DynamoDB::Table"),
        ("!Ref Days", "!Ref AWS::Moon", "pseudo parameter AWS::Moon"),
        ("!Ref Days", "!Ref Origins", "DAYS is not text"),
        ("[HasFlag, !Ref Flag, none]", "[Nowhere, a, b]", "no condition Nowhere"),
    ],
)
def test_what_is_not_supported_is_named(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in SMALL
    template = load(tmp_path, SMALL.replace(old, new))
    with pytest.raises(TemplateError, match=message):
        template.environment("OneFunction")


def test_a_parameter_without_a_value_or_a_declaration_is_named(tmp_path: Path) -> None:
    with pytest.raises(TemplateError, match="need a value: Flag"):
        load(tmp_path, SMALL.replace('Flag: { Type: String, Default: "" }', "Flag: { Type: String }"))
    with pytest.raises(TemplateError, match="no parameter Flagg"):
        load(tmp_path, Flagg="x")


def test_the_projects_own_template_is_understood_as_a_whole() -> None:
    template = Template.load(parameters=PARAMETERS)
    for function_id, function in template.functions().items():
        assert function.handler.startswith("functions.")
        assert template.environment(function_id)["SECRET_ID"] == template.outputs()["SecretArn"]
    assert Route("POST /webhooks/stripe", "WebhookFunction") in template.routes()
    assert template.outputs()["ApiUrl"] == "http://127.0.0.1:8787"
    assert (
        template.environment("CreateSessionFunction")["ALLOWED_RETURN_ORIGINS"] == "https://a.example,https://b.example"
    )


def test_a_route_with_an_authorizer_that_is_none_is_refused_by_name(tmp_path: Path) -> None:
    text = SMALL.replace(
        "  Queue: {",
        """  Integration:
    Type: AWS::ApiGatewayV2::Integration
    Properties: { IntegrationType: AWS_PROXY, PayloadFormatVersion: "2.0", IntegrationUri: !GetAtt OneFunction.Arn }
  GuardedRoute:
    Type: AWS::ApiGatewayV2::Route
    Properties: { RouteKey: GET /x, AuthorizationType: JWT, Target: !Sub "integrations/${Integration}" }
  Queue: {""",
    )
    with pytest.raises(TemplateError, match="supports only JWT authorizers on `Authorization`: see GuardedRoute"):
        load(tmp_path, text).routes()


def test_with_an_issuer_the_routes_of_signed_in_users_have_a_jwt_authorizer_and_no_other_has() -> None:
    oidc = {"OidcIssuer": "https://id.example", "OidcAudience": "shop"}
    guarded = {
        route.key: route.authorizer
        for route in Template.load(parameters=PARAMETERS | oidc).routes()
        if route.authorizer
    }
    pausing = {f"POST /subscriptions/{{subscription}}/{each}" for each in ("pause", "release", "resume", "undo")}
    routes = {"GET /access", "GET /subscriptions", "POST /portal/sessions", *pausing}
    assert guarded == dict.fromkeys(routes, JwtAuthorizer("https://id.example", ("shop",)))
    assert not any(route.authorizer for route in Template.load(parameters=PARAMETERS).routes())
