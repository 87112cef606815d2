"""docs/reference/mirror-table.md: its types are those of the items, and its snippets read them, in both languages."""

import json
import re
import runpy
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints, is_typeddict

import boto3
import pytest

from shared.mirror.items import Beginnings, EntitlementsWrite, Write
from shared.stripe.subscription import PauseCollection, Subscription, SubscriptionItem
from tests.integration.dynamodb_fixtures import Subscriptions
from tests.integration.test_mirror_table import WHOLE

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docs" / "reference" / "mirror-table"
NODE_FOLDER = ROOT / "build" / "contract"
SHOWN = re.findall(r"^```\w+\n(.*?)^```$", FOLDER.with_suffix(".md").read_text(), re.MULTILINE | re.DOTALL)
# Every attribute that an item can have, and one with as few as possible.
ITEM = SubscriptionItem(
    "si_1", "price_1", "prod_1", 2, "1000.5", "eur", "month", 1, "licensed", "per_unit", 8, "up", 1_800_000_000
)


def test_every_snippet_is_shown_as_it_is_and_nothing_else() -> None:
    assert sorted(SHOWN) == sorted(path.read_text() for path in FOLDER.iterdir())


def misfits(value: Any, form: Any) -> Iterator[str]:
    """Name what of a value is not of its type, so far as the snippet uses types."""
    if is_typeddict(form):
        hints = get_type_hints(form)
        yield from (f"{name} is unknown" for name in value.keys() - hints.keys())
        yield from (f"{name}: {each}" for name in value.keys() & hints for each in misfits(value[name], hints[name]))
    elif get_origin(form) is list:
        yield from (each for item in value for each in misfits(item, get_args(form)[0]))
    elif get_origin(form) is Literal:
        if value not in get_args(form):
            yield f"{value!r} is not one of {get_args(form)}"
    elif not isinstance(value, form):
        yield f"{value!r} is not of {form}"


@pytest.fixture
def table(subscriptions: Subscriptions) -> Subscriptions:
    """Two subscriptions of one customer: with every attribute, and with as few as possible."""
    known = Beginnings(1, True, 2, True, 3)
    most = replace(WHOLE, status="past_due", items=(ITEM,), pause_collection=PauseCollection("void", 10**10))
    least = Subscription("sub_2", WHOLE.customer_id, "active", livemode=False)
    mirror = subscriptions.table()
    mirror.put_if_older(Write(most, 10, "evt_1", known, 20, None, "acct_1", 4, 5), than=7)
    mirror.put_if_older(Write(least, 10, None), than=7)
    mirror.put_entitlements(EntitlementsWrite(WHOLE.customer_id, ("sso",), {}, 10))
    key = {"customer_id": {"S": WHOLE.customer_id}, "subscription_id": {"S": WHOLE.id}}
    # Only a state that is shown for now has this, which then has no beginnings of its own.
    subscriptions.dynamodb.client().update_item(
        TableName=subscriptions.name,
        Key=key,
        UpdateExpression="SET settling = :one",
        ExpressionAttributeValues={":one": {"N": "1"}},
    )
    return subscriptions


def test_the_python_snippet_reads_every_attribute_with_its_type(table: Subscriptions) -> None:
    snippet = runpy.run_path(str(FOLDER / "subscriptions.py"))
    dynamodb = table.dynamodb
    resource = boto3.resource(
        "dynamodb",
        endpoint_url=dynamodb.url,
        region_name=dynamodb.region,
        aws_access_key_id=dynamodb.access_key,
        aws_secret_access_key=dynamodb.secret_key,
    )
    found = snippet["subscriptions_of"](resource.Table(table.name), WHOLE.customer_id)
    form = snippet["MirroredSubscription"]
    assert [misfit for item in found for misfit in misfits(item, form)] == []
    most, least = found
    assert set(most) == set(form.__annotations__), "the fixture has every attribute that there is"
    assert set(most["items"][0]) == set(snippet["SubscriptionItem"].__annotations__)
    assert set(least) == form.__required_keys__


def test_the_typescript_snippet_has_the_same_types() -> None:
    python = runpy.run_path(str(FOLDER / "subscriptions.py"))
    text = (FOLDER / "subscriptions.ts").read_text()
    for name in ("MirroredSubscription", "SubscriptionItem", "PauseCollection"):
        (body,) = re.findall(rf"export interface {name} {{\n(.*?)^}}", text, re.MULTILINE | re.DOTALL)
        fields = re.findall(r"^  (\w+)(\??):", body, re.MULTILINE)
        assert {field for field, _ in fields} == set(python[name].__annotations__)
        assert {field for field, optional in fields if not optional} == python[name].__required_keys__


@pytest.mark.skipif(
    not (shutil.which("node") and (NODE_FOLDER / "node_modules/@aws-sdk/lib-dynamodb").exists()),
    reason="`make contract` installs what this needs",
)
def test_the_typescript_snippet_compiles_and_reads_the_items(table: Subscriptions) -> None:
    folder = NODE_FOLDER / "mirror-table"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    shutil.copy(FOLDER / "subscriptions.ts", folder)
    compiler = NODE_FOLDER / "node_modules/.bin/tsc"
    options = (
        "--strict",
        "--skipLibCheck",
        "--target",
        "es2022",
        "--module",
        "nodenext",
        "--rewriteRelativeImportExtensions",
    )
    (folder / "package.json").write_text('{"type": "module"}')
    (folder / "main.ts").write_text(
        """
import { DynamoDBClient } from "@aws-sdk/client-dynamodb";
import { DynamoDBDocumentClient } from "@aws-sdk/lib-dynamodb";
import { subscriptionsOf } from "./subscriptions.ts";
declare const process: { argv: string[]; stdout: { write(text: string): void } };
const [endpoint, region, accessKeyId, secretAccessKey, table, customer] = process.argv.slice(2);
const client = new DynamoDBClient({ endpoint, region, credentials: { accessKeyId, secretAccessKey } });
process.stdout.write(JSON.stringify(await subscriptionsOf(DynamoDBDocumentClient.from(client), table, customer)));
"""
    )
    compiled = subprocess.run(
        [compiler, *options, "main.ts"], cwd=folder, capture_output=True, text=True, check=False, timeout=120
    )
    assert (compiled.returncode, compiled.stdout) == (0, "")
    dynamodb = table.dynamodb
    arguments = (dynamodb.url, dynamodb.region, dynamodb.access_key, dynamodb.secret_key, table.name, WHOLE.customer_id)
    ran = subprocess.run(
        ["node", "main.js", *arguments], cwd=folder, capture_output=True, text=True, check=False, timeout=60
    )
    assert ran.returncode == 0, ran.stderr
    most, least = json.loads(ran.stdout)
    assert (most["subscription_id"], most["paid_through"], most["items"][0]["quantity"]) == ("sub_1", 3, 2)
    assert (least["subscription_id"], least["status"]) == ("sub_2", "active")
