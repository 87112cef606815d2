"""Each artifact runs by itself: an isolated interpreter, and nothing on its path but the artifact."""

import json
import os
import platform
import re
import shutil
import subprocess
import sys
from functools import cache
from importlib.metadata import Distribution, distributions
from pathlib import Path
from typing import Any

import pytest
from packaging.utils import canonicalize_name

from tests.lock_check import locked
from tests.supply_chain import imported_modules, refused_licenses

ROOT = Path(__file__).parents[2]
FUNCTIONS = {
    "AccessFunction": "access",
    "AccessChangesFunction": "access_changes",
    "CreateSessionFunction": "create_session",
    "NightlyAuditFunction": "nightly_audit",
    "PauseFunction": "pause",
    "WebhookFunction": "webhook",
}
CYCLONEDX = ROOT / ".venv-supply" / "bin" / "cyclonedx-py"
# CI names Lambda's own version here; elsewhere the interpreter that runs the tests does.
PYTHON = os.environ.get("BUILD_PYTHON", sys.executable)
VERSION = subprocess.run(
    [PYTHON, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"], check=True, capture_output=True, text=True
).stdout.strip()
MACHINE = {"AMD64": "x86_64", "arm64": "aarch64"}.get(platform.machine(), platform.machine())
PLATFORM = f"{MACHINE}-apple-darwin" if sys.platform == "darwin" else f"{MACHINE}-manylinux_2_28"
EVENT = {
    "version": "2.0",
    "routeKey": "POST /webhooks/stripe",
    "headers": {"host": "api.example"},
    "isBase64Encoded": False,
}
# Lambda's own event of a durable execution that begins. Nothing answers where its steps would be kept.
BEGIN = {
    "DurableExecutionArn": "arn:aws:lambda:eu-west-1:123456789012:function:audit:1/durable-execution/night/1",
    "CheckpointToken": "token",
    "InitialExecutionState": {
        "Operations": [
            {
                "Id": "night",
                "Type": "EXECUTION",
                "Status": "STARTED",
                "StartTimestamp": 1795501755000,
                "ExecutionDetails": {"InputPayload": "{}"},
            }
        ],
        "NextMarker": "",
    },
}
NOBODY = {
    "AWS_DEFAULT_REGION": "eu-west-1",
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
    "AWS_MAX_ATTEMPTS": "1",
}


def event(function: str) -> dict[str, Any]:
    path = {"access": "/access", "pause": "/subscriptions"}.get(function, "/portal")
    return EVENT | {"rawPath": path, "requestContext": {"http": {"method": "GET", "path": path}, "stage": "$default"}}


CALL = """
import importlib, json, pkgutil, sys
artifact, function = sys.argv[1:]
sys.path.insert(0, artifact)
package = f"functions.{function}"
for module in pkgutil.walk_packages(importlib.import_module(package).__path__, package + "."):
    importlib.import_module(module.name)
class Context:
    function_name = memory_limit_in_mb = invoked_function_arn = aws_request_id = "x"
handler = importlib.import_module(f"functions.{function}.app").handler
try:
    answer = handler(json.load(sys.stdin), Context())
except BaseException as error:
    answer = repr(error)
outside = [m for m in sys.modules.values() if "site-packages" in (getattr(m, "__file__", None) or "")]
print(json.dumps({"answer": answer, "outside": [m.__name__ for m in outside], "loaded": sorted(sys.modules)}))
"""


def build(function_id: str, folder: Path, platform_: str = PLATFORM, version: str = VERSION) -> Path:
    """What `sam build` does for one function."""
    subprocess.run(
        [
            "make",
            f"build-{function_id}",
            f"ARTIFACTS_DIR={folder}",
            f"LAMBDA_PLATFORM={platform_}",
            f"LAMBDA_PYTHON={version}",
            f"BUILD_PYTHON={PYTHON}",
        ],
        cwd=ROOT,
        check=True,
        capture_output=True,
        env={name: value for name, value in os.environ.items() if not name.startswith("MAKE")},
    )
    return folder


@pytest.fixture(scope="module", params=FUNCTIONS)
def artifact(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(request.param, tmp_path_factory.mktemp("build") / request.param)


@pytest.mark.parametrize(("python", "version"), [("/nowhere/python3.13", "3.13"), (PYTHON, "3.99")])
def test_without_lambdas_python_the_build_says_what_it_needs(python: str, version: str, tmp_path: Path) -> None:
    """Bytecode of another version would be built, shipped and ignored: a cold start three times as long."""
    command = ["make", "build-WebhookFunction", f"ARTIFACTS_DIR={tmp_path}/x", f"BUILD_PYTHON={python}"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    ran = subprocess.run(
        [*command, f"LAMBDA_PYTHON={version}"], cwd=ROOT, check=False, capture_output=True, text=True, env=environment
    )
    assert ran.returncode != 0
    assert f"Building for Lambda needs Python {version}, and {python} is none: make build BUILD_PYTHON=" in ran.stderr
    assert not (tmp_path / "x").exists()


def test_the_handler_answers_with_nothing_but_the_artifact(artifact: Path) -> None:
    function = FUNCTIONS[artifact.name]
    ran = subprocess.run(
        [PYTHON, "-I", "-S", "-c", CALL, str(artifact), function],
        input=json.dumps(BEGIN if function == "nightly_audit" else event(function)),
        capture_output=True,
        text=True,
        check=True,
        env={"POWERTOOLS_METRICS_NAMESPACE": "StripePortal", "PATH": os.environ["PATH"], **NOBODY},
    )
    result = json.loads(ran.stdout.splitlines()[-1])
    # Without settings, every function names what is missing.
    assert "SECRET_ID" in ran.stdout
    if function not in {"access_changes", "nightly_audit"}:
        assert result["answer"]["statusCode"] == 500
        assert json.loads(result["answer"]["body"])["code"] == "bad_settings"
    assert result["outside"] == []
    assert not {"httpx", "aiohttp", "local", "cli", "tests", "moto"} & set(result["loaded"])


def test_an_artifact_holds_its_own_function_only(artifact: Path) -> None:
    held = {path.name for path in (artifact / "functions").iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert held == {FUNCTIONS[artifact.name]}
    assert not {"local", "cli", "tests", "bench", "bin", ".lock"} & {path.name for path in artifact.iterdir()}


def packages(artifact: Path) -> list[Distribution]:
    return list(distributions(path=[str(artifact)]))


def requirements(artifact: Path) -> dict[str, str]:
    return locked(ROOT / "functions" / FUNCTIONS[artifact.name] / "requirements.txt")


def test_an_artifact_holds_the_locked_packages_and_no_other(artifact: Path) -> None:
    held = {canonicalize_name(each.metadata["Name"]): each.version for each in packages(artifact)}
    assert held == requirements(artifact)
    owned = {Path(str(file)).parts[0] for each in packages(artifact) for file in each.files or ()}
    assert {path.name for path in artifact.iterdir()} - owned == {"functions", "shared", "__pycache__"}


def test_every_package_of_an_artifact_has_a_license_under_which_it_may_be_passed_on(artifact: Path) -> None:
    refused = {each.metadata["Name"]: refused_licenses(each) for each in packages(artifact)}
    assert {name: licenses for name, licenses in refused.items() if licenses} == {}
    assert refused


@pytest.mark.skipif(not CYCLONEDX.exists(), reason="`make sbom` installs cyclonedx-bom")
def test_the_list_of_components_is_that_of_the_artifact(artifact: Path, tmp_path: Path) -> None:
    listed = tmp_path / "sbom.json"
    command = ["make", "--silent", "sbom-of", f"ARTIFACT={artifact}", f"SBOM={listed}"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, env=environment)
    sbom = json.loads(listed.read_text())
    assert (sbom["bomFormat"], sbom["metadata"]["component"]["name"]) == ("CycloneDX", "stripe-portal-bundle")
    assert {canonicalize_name(each["name"]): each["version"] for each in sbom["components"]} == requirements(artifact)
    assert [each["name"] for each in sbom["components"] if not each.get("licenses")] == []


def test_an_artifact_speaks_french(artifact: Path) -> None:
    """It has the compiled catalogues, and neither their sources nor what compiles them."""
    code = "import sys; sys.path.insert(0, sys.argv[1]); from shared.i18n import _; print(_('May').say('fr'))"
    ran = subprocess.run(
        [PYTHON, "-I", "-S", "-c", code, str(artifact)],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONIOENCODING": "utf-8"},
    )
    assert ran.stdout.strip() == "mai"
    assert [path.name for path in (artifact / "shared" / "locale").iterdir()] == ["fr.mo"]
    assert not (artifact / "babel").exists()


def services_called(function: str) -> set[str]:
    """The AWS services that a function's code makes clients of; the durable execution SDK calls Lambda."""
    code = [
        path.read_text() for folder in (f"functions/{function}", "shared") for path in (ROOT / folder).rglob("*.py")
    ]
    called = {service for text in code for service in re.findall(r'client[(,]\s*"([a-z0-9]+)"', text)}
    return called | ({"lambda"} if function == "nightly_audit" else set())


def test_an_artifact_has_the_models_of_the_services_that_it_calls(artifact: Path) -> None:
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); import boto3\n"
        "for service in sys.argv[2:]: print(boto3.client(service).meta.service_model.service_name)"
    )
    services = sorted(services_called(FUNCTIONS[artifact.name]))
    ran = subprocess.run(
        [PYTHON, "-I", "-S", "-c", code, str(artifact), *services],
        capture_output=True,
        text=True,
        env=NOBODY,
        check=True,
    )
    assert ran.stdout.split() == services != []


def test_no_artifact_has_models_of_services_that_none_calls(artifact: Path) -> None:
    called = set().union(*map(services_called, FUNCTIONS.values()))
    assert {path.name for path in (artifact / "botocore" / "data").iterdir() if path.is_dir()} <= called


# The imports of removed modules that are left, and what in our code would lead to each: a field's type for pydantic's
# version 1, or an event object of Stripe's API v2.
UNREACHED = {
    ("pydantic/_internal/_generate_schema.py", "pydantic.v1"): "__get_validators__",
    ("stripe/_util.py", "stripe.events._event_classes"): "v2.core.events.",
    ("stripe/v2/core/_event.py", "stripe.events._event_classes"): "parse_event_notification",
}


def test_nothing_in_an_artifact_imports_what_the_build_removes(artifact: Path) -> None:
    files = [str(file) for each in packages(artifact) for file in each.files or () if str(file).endswith(".py")]
    missing = {module_name(Path(file)) for file in files if not (artifact / file).exists()}
    assert missing >= {"pydantic.v1", "aws_lambda_powertools.utilities.idempotency"}
    left = {
        (str(file), module)
        for file in (path.relative_to(artifact) for path in artifact.rglob("*.py"))
        for module in imports((artifact / file).read_bytes(), ".".join(file.parent.parts)) & missing
    }
    assert left == {(file, module) for file, module in UNREACHED if (artifact / file).exists()}
    code = "".join(path.read_text() for folder in ("functions", "shared") for path in (artifact / folder).rglob("*.py"))
    assert [word for word in UNREACHED.values() if word in code] == []


@cache
def imports(source: bytes, package: str) -> frozenset[str]:
    """Most files are the same in all artifacts."""
    return frozenset(imported_modules(source, package))


def module_name(file: Path) -> str:
    return ".".join(file.with_suffix("").parts).removesuffix(".__init__")


def test_an_artifact_is_small(artifact: Path, tmp_path: Path) -> None:
    """Lambda fetches and unpacks the archive at each cold start."""
    archive = shutil.make_archive(str(tmp_path / artifact.name), "zip", artifact)
    assert Path(archive).stat().st_size < 15_000_000


def test_an_artifact_carries_bytecode_that_lambda_does_not_have_to_check(artifact: Path) -> None:
    tag = f"cpython-{VERSION.replace('.', '')}"
    for source in [*artifact.glob("shared/*.py"), *artifact.glob("stripe/*.py")]:
        compiled = source.parent / "__pycache__" / f"{source.stem}.{tag}.pyc"
        flags = int.from_bytes(compiled.read_bytes()[4:8], "little")
        assert flags == 1, f"{compiled.name} is not keyed by hash, or is checked at run time"


def test_what_is_deployed_is_built_for_lambdas_processor(tmp_path: Path) -> None:
    makefile = (ROOT / "Makefile").read_text()
    target = re.search(r"LAMBDA_PLATFORM \?= (\S+)", makefile)
    assert target
    artifact = build("WebhookFunction", tmp_path / "arm64", target[1])
    libraries = [path.read_bytes()[:20] for path in artifact.rglob("*.so")]
    assert libraries
    assert {int.from_bytes(head[18:20], "little") for head in libraries} == {183}, "183 is AArch64 in ELF"
