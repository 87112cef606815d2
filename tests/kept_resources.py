"""The template with which a new stack takes over what an old one has left (docs/how-to/recovery.md).

An import into a new stack takes a template of the imported resources alone: they are copied from template.yaml.
"""

import json
from pathlib import Path
from typing import Any

import yaml

from local.aws.intrinsics import TemplateLoader

ROOT = Path(__file__).parents[1]
TAKE_OVER = ROOT / "docs" / "how-to" / "take-over"
TEMPLATE_FILE, RESOURCES_FILE = TAKE_OVER / "template.json", TAKE_OVER / "resources.json"
# What CloudFormation knows an existing resource by; tests/package/test_rehearsal.py compares them with its schemas.
IDENTIFIERS = {"AWS::DynamoDB::Table": "TableName", "AWS::S3::Bucket": "BucketName"}


def import_template() -> dict[str, Any]:
    """The tables and the bucket, each as template.yaml has it, and the parameters that they use."""
    document = yaml.load((ROOT / "template.yaml").read_text(), TemplateLoader)
    kept = {name: each for name, each in document["Resources"].items() if each["Type"] in IDENTIFIERS}
    used = {name: each for name, each in document["Parameters"].items() if f'{{"Ref": "{name}"}}' in json.dumps(kept)}
    return {
        "AWSTemplateFormatVersion": document["AWSTemplateFormatVersion"],
        "Description": "What a deleted stack has left, for a new stack to take over",
        "Parameters": used,
        "Resources": kept,
    }


def resources_to_import() -> list[dict[str, Any]]:
    """What to fill in: the name of each."""
    return [
        {
            "ResourceType": each["Type"],
            "LogicalResourceId": name,
            "ResourceIdentifier": {IDENTIFIERS[each["Type"]]: f"OLDSTACK-{name}-..."},
        }
        for name, each in import_template()["Resources"].items()
    ]


def as_text(value: object) -> str:
    """The form of both files."""
    return json.dumps(value, indent=2) + "\n"


if __name__ == "__main__":
    TEMPLATE_FILE.write_text(as_text(import_template()))
    RESOURCES_FILE.write_text(as_text(resources_to_import()))
