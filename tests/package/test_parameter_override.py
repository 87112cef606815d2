"""The parameter that `portal apply` prints arrives as it is: SAM's own reader says so."""

import json
import subprocess
from pathlib import Path

import pytest

from cli.configuration.view import parameter_override

SAM_PYTHON = Path(__file__).parents[2] / ".venv-sam" / "bin" / "python"
READ = """
import json, sys
from samcli.cli.types import CfnParameterOverridesType
print(json.dumps(CfnParameterOverridesType().convert((sys.argv[1],), None, None)))
"""


@pytest.mark.skipif(not SAM_PYTHON.exists(), reason="`make validate` installs SAM")
@pytest.mark.parametrize("groups", [{}, {"business": "bpc_1"}, {"a b": "bpc_1", "it's 漢, {x}=[y]": "bpc_2"}])
def test_sam_reads_the_parameter_as_it_was_meant(groups: dict[str, str]) -> None:
    value = json.dumps(groups, separators=(",", ":"), ensure_ascii=False)
    command = [str(SAM_PYTHON), "-c", READ, parameter_override(value)]
    answer = subprocess.run(command, check=True, capture_output=True, text=True)
    assert json.loads(answer.stdout) == {"PortalConfigurations": value}
