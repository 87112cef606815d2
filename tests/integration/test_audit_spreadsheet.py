"""LibreOffice opens the audit's list with the settings of an English and of a French spreadsheet."""

import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from xml.etree import ElementTree as ET
from zipfile import ZipFile

import pytest

from shared.audit.findings import CustomerName
from shared.audit.rendering.as_csv import write_csv
from shared.stripe.money import MonthlyAmount
from shared.stripe.subscription import SubscriptionItem
from tests.audit_findings import finding

SOFFICE = shutil.which("soffice")
# What LibreOffice is told when a file is opened: delimiter, quote, UTF-8, first row, columns as they are, language,
# quoted cells are not always text, and dates are recognised (wiki.documentfoundation.org, "CSV Filter Options").
OPENED = {"en": "44,34,76,1,,1033,false,true", "fr": "59,34,76,1,,1036,false,true"}
HOSTILE = ("=1+1", "+1+1", "-1+1", "@SUM(A1)", "x;=1+1", "x,=1+1", '"=1+1')
TIME = datetime(2026, 3, 4, 9, 30, tzinfo=UTC)


@pytest.mark.skipif(not SOFFICE, reason="LibreOffice is not installed")
@pytest.mark.parametrize("language", OPENED)
def test_a_spreadsheet_reads_numbers_times_and_names(language: str, tmp_path: Path) -> None:
    item = SubscriptionItem("si_1", "price_1", "prod_1", 3, "1250", "eur", "month")
    names = ("Zoé Ångström; Cie", *HOSTILE)
    findings = [
        replace(
            finding(number, monthly=MonthlyAmount({"eur": Decimal(123450)}), items=(item,), created=TIME),
            customers=(CustomerName(f"cus_{number}", name, "zoe@customers.example"),),
        )
        for number, name in enumerate(names)
    ]
    with (tmp_path / "list.csv").open("w", encoding="utf-8", newline="") as file:
        write_csv(findings, file, language)

    shown = opened(tmp_path, OPENED[language])

    assert [row["Customer Name"].value.replace("'", "") for row in shown] == list(names)
    for row in shown:
        assert not [cell for cell in row.values() if cell.formula]
        assert row["Customer Email"] == Cell("string", "zoe@customers.example")
        assert row["Monthly Amount"] == Cell("float", "1234.5")
        assert row["Amount"] == Cell("float", "12.5")
        assert row["Created (UTC)"] == Cell("date", "2026-03-04T09:30:00")


@dataclass(frozen=True)
class Cell:
    """A cell of a spreadsheet, and what kind of value it is to the program that opened it."""

    kind: str
    value: str
    formula: str | None = None


def opened(folder: Path, how: str) -> list[dict[str, Cell]]:
    """Return the rows of `list.csv` as LibreOffice has them after it opened the file."""
    command = [str(SOFFICE), f"-env:UserInstallation={(folder / 'profile').as_uri()}", "--headless"]
    options = [f"--infilter=CSV:{how}", "--convert-to", "ods", "--outdir", str(folder), str(folder / "list.csv")]
    subprocess.run(command + options, check=True, capture_output=True, timeout=120)
    with ZipFile(folder / "list.ods") as file:
        table = ET.fromstring(file.read("content.xml"))
    header, *rows = ([*_cells(row)] for row in table.iter(f"{_TABLE}table-row"))
    return [dict(zip((cell.value for cell in header), row, strict=False)) for row in rows if row[0].value]


_OFFICE = "{urn:oasis:names:tc:opendocument:xmlns:office:1.0}"
_TABLE = "{urn:oasis:names:tc:opendocument:xmlns:table:1.0}"


def _cells(row: ET.Element) -> Iterator[Cell]:
    for cell in row.iter(f"{_TABLE}table-cell"):
        kind = cell.get(f"{_OFFICE}value-type", "")
        value = cell.get(f"{_OFFICE}{'date-value' if kind == 'date' else 'value'}", "".join(cell.itertext()))
        repeated = min(int(cell.get(f"{_TABLE}number-columns-repeated", "1")), 100)
        yield from [Cell(kind, value, cell.get(f"{_TABLE}formula"))] * repeated
