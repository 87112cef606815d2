"""A parameter that changes reaches the audit, although SAM publishes no new version of its function for it."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from local.aws.intrinsics import PhysicalNames
from local.aws.template import TEMPLATE_PATH, Template

ROOT = Path(__file__).parents[2]
SAM_PYTHON = ROOT / ".venv-sam" / "bin" / "python"
TRANSLATE = """
import json, sys
from pathlib import Path
from tests.package.translate import translate
print(json.dumps(translate(Path(sys.argv[1]), json.loads(sys.argv[2]))))
"""
FIRST = {
    "AllowedReturnOrigins": "https://shop.example",
    "DefaultReturnUrl": "https://shop.example",
    "AuditEmailFrom": "audit@shop.example",
    "AuditEmailTo": "team@shop.example",
}
SECOND = FIRST | {"AuditEmailFrom": "audit@new.example", "AuditEmailTo": "a@new.example", "AuditLanguage": "fr"}


def translated(parameters: dict[str, str]) -> dict[str, Any]:
    command = [str(SAM_PYTHON), "-c", TRANSLATE, str(TEMPLATE_PATH), json.dumps(parameters)]
    environment = {"AWS_DEFAULT_REGION": "eu-west-1", "PYTHONPATH": str(ROOT)}
    ran = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    template: dict[str, Any] = json.loads(ran.stdout)
    return template


@pytest.mark.skipif(not SAM_PYTHON.exists(), reason="`make validate` installs SAM")
def test_a_changed_parameter_makes_no_new_version_and_is_in_none() -> None:
    first, second = (translated(parameters)["Resources"] for parameters in (FIRST, SECOND))
    assert first.keys() == second.keys()
    versions = {name: each for name, each in first.items() if each["Type"] == "AWS::Lambda::Version"}
    assert len(versions) == 1
    assert first["NightlyAuditFunction"] == second["NightlyAuditFunction"]


def test_the_audits_settings_change_with_the_parameters() -> None:
    first, second = (
        Template.load(parameters=parameters, names=PhysicalNames()).resources("AWS::SSM::Parameter")["AuditSettings"]
        for parameters in (FIRST, SECOND)
    )
    assert "AUDIT_EMAIL_FROM=audit@shop.example" in first["Value"].splitlines()
    assert {"AUDIT_EMAIL_FROM=audit@new.example", "AUDIT_EMAIL_TO=a@new.example", "AUDIT_LANGUAGE=fr"} <= set(
        second["Value"].splitlines()
    )
