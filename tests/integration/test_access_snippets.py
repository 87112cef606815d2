"""What docs/how-to/lock-content.md has to paste: each snippet is shown as its file is, and asks the real function."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from local.assembly import serving
from local.aws.lambda_function import LambdaFunction
from local.gateway.api import Gateway
from tests.end_to_end.stack_fixture import free_port
from tests.integration.conftest import LINK_SECRET, Api, Aws
from tests.integration.simulator_fixtures import RunningSimulator
from tests.integration.test_access_function import Access

FOLDER = Path(__file__).parents[2] / "docs" / "how-to" / "lock-content"
SHOWN = re.findall(r"^```\w+\n(.*?)^```$", FOLDER.with_suffix(".md").read_text(), re.MULTILINE | re.DOTALL)
PYTHON = (
    "import json, runpy, sys; f = runpy.run_path(sys.argv[1])['access_of'];"
    "print(json.dumps(f(*json.loads(sys.argv[2]))), end='')"
)
NODE = (
    "const [file, given] = process.argv.slice(1); const { accessOf } = await import(file);"
    "process.stdout.write(JSON.stringify(await accessOf(...JSON.parse(given))))"
)
PROGRAMS = {"py": [sys.executable, "-c", PYTHON], "mjs": ["node", "--input-type=module", "--eval", NODE]}


def test_every_snippet_is_shown_as_it_is_and_nothing_else() -> None:
    assert sorted(SHOWN) == sorted(path.read_text() for path in FOLDER.iterdir())


@pytest.fixture
def access(api: Api, aws: Aws, simulator: RunningSimulator) -> Access:
    return Access(api, aws, simulator)


@pytest.fixture
def url(access: Access, aws: Aws) -> Iterator[str]:
    assert access.token()
    functions = {name: LambdaFunction(each) for name, each in aws.template.functions().items()}
    port = free_port()
    with serving(Gateway(aws.template.routes(), functions), port):
        yield f"http://127.0.0.1:{port}"


@pytest.mark.parametrize("language", PROGRAMS)
def test_a_snippet_reads_the_answer_and_knows_when_there_is_none(
    access: Access, url: str, tmp_path: Path, language: str
) -> None:
    if not shutil.which(PROGRAMS[language][0]):
        pytest.skip("Node is not installed")
    snippet = tmp_path / f"ask_access.{language}"
    snippet.write_text((FOLDER / snippet.name).read_text().replace("https://api.example.com", url))

    def ask(customer: str, product: str | None = None) -> object:
        arguments = json.dumps([customer, LINK_SECRET, product])
        command = [*PROGRAMS[language], str(snippet), arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == 0, done.stderr
        answer = json.loads(done.stdout)
        return answer and (answer["granted"], answer["reason"])

    access.mirror()
    assert ask("cus_1") == (True, "active")
    assert ask("cus_1", "prod_2") == (False, "product_not_subscribed")
    access.simulator.admin("POST", "faults", {"fail": [{"status": 500, "times": 99}]})
    assert ask("cus_nobody") is None
