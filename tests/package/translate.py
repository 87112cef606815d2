"""Translates template.yaml as CloudFormation's SAM transform would, so that what SAM refuses fails here, offline.

`sam validate --lint` does not look into everything: it let a dead-letter queue with both `Arn` and `Type` pass. Run by
`make validate`, in SAM's own environment.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

from samtranslator.translator.transform import transform
from samtranslator.yaml_helper import yaml_parse


class NoManagedPolicies:
    """The template names no managed policy, so none has to be looked up."""

    def load(self) -> dict[str, str]:
        return {}


def translate(template: Path, parameters: dict[str, str] | None = None) -> dict[str, Any]:
    """The CloudFormation template; raises what SAM says is wrong."""
    document = yaml_parse(template.read_text())
    del document["Globals"]["Function"]["CodeUri"]
    for resource in document["Resources"].values():
        if resource["Type"] == "AWS::Serverless::Function":
            resource["Properties"]["CodeUri"] = "s3://artifacts/function.zip"
    translated: dict[str, Any] = transform(document, parameters or {}, NoManagedPolicies())
    return translated


if __name__ == "__main__":
    os.environ.setdefault("AWS_DEFAULT_REGION", "eu-west-1")
    source, target = map(Path, sys.argv[1:])
    target.parent.mkdir(exist_ok=True)
    target.write_text(json.dumps(translate(source), indent=1))
