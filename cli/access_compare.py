"""`portal access --compare`: the company's own list of who is served, against the mirror."""

import json
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, BinaryIO

from rich.console import Console
from rich.table import Table

from cli.terminal import JSON_VERSION, ExitCode, RowsForm, literal, print_csv, printable
from shared.access_comparison import REASONS, AccessComparison, AccessDifference, DifferenceKind
from shared.errors import InvalidRequest, sentence
from shared.i18n import Message, _, _n, say, sentences
from shared.served_list import BadLine, ColumnNames, ServedList
from shared.stripe.money import in_major_units, written_amounts
from shared.stripe.pacing import RateLimit, Retries

if TYPE_CHECKING:
    from cli.deployment import Deployment

# Enough for a terminal; `--format csv` and `json` write all of them.
ROWS = 1000
BAD_LINES = 20
_ID_WIDTH = 32
_STDIN = "-"
_COLUMNS = (
    *("kind", "customer", "email", "line", "product", "reason", "since", "until", "monthly", "subscriptions"),
    "meaning",
)


@dataclass(frozen=True, slots=True)
class Comparing:
    """What the options of the command say."""

    path: str
    columns: ColumnNames
    product: str | None
    form: RowsForm
    language: str
    requests_per_second: float


def compare_list(deployment: "Deployment", wanted: Comparing) -> int:
    """Compare and print; return the exit code: 3 for differences, 1 if not everything could be compared."""
    with _opened(wanted.path) as file:
        served = ServedList(file, wanted.columns)
        if served.has_products and wanted.product:
            raise InvalidRequest(
                "bad_list", sentence("The list names products, so --product would contradict it: leave it out")
            )
        run = AccessComparison(
            deployment.mirror,
            deployment.stripe,
            Retries(RateLimit(wanted.requests_per_second)),
            policy=deployment.access_policy,
            now=deployment.ticking_clock(),
            product=wanted.product,
            account=deployment.account,
        )
        bad = _BadLines(wanted.path, wanted.language)
        with _progress(wanted.language) as show:
            show(_("Reading the list"))
            run.read_list(served.rows(), bad=bad.add)
            bad.end()
            run.read_customers(lambda n: show(_n("Reading Stripe: {n} customer", "Reading Stripe: {n} customers", n)))
            show(_("Reading the mirror"))
            run.read_mirror(
                lambda n: show(_n("Reading the mirror: {n} subscription", "Reading the mirror: {n} subscriptions", n))
            )
    _WRITERS[wanted.form](run, wanted.language)
    if run.not_asked:
        sys.stderr.write(f"portal: {printable(say(run.not_asked.message, wanted.language))}\n")
    if run.found:
        return ExitCode.DIFFERENCE
    return 0 if run.is_whole else ExitCode.FOUND


@contextmanager
def _opened(path: str) -> Iterator[BinaryIO]:
    if path == _STDIN:
        yield sys.stdin.buffer
        return
    try:
        file = open(path, "rb")  # noqa: PTH123, SIM115 - closed below; what a caller raises is none of these errors
    except OSError as error:
        raise InvalidRequest(
            "bad_list", sentence("The list {path} cannot be read: {why}", path=path, why=error.strerror)
        ) from error
    with file:
        yield file


class _BadLines:
    """Names the first lines that cannot be read on standard error, and counts the others."""

    def __init__(self, path: str, language: str) -> None:
        self._path, self._language, self._count = path, language, 0

    def add(self, bad: BadLine) -> None:
        self._count += 1
        if self._count <= BAD_LINES:
            where = _("{file}, line {line}: {problem}", file=self._path, line=str(bad.line), problem=bad.problem)
            self._say(where)

    def end(self) -> None:
        more = self._count - BAD_LINES
        if more > 0:
            self._say(_n("and {n} more line that cannot be read", "and {n} more lines that cannot be read", more))

    def _say(self, message: Message) -> None:
        sys.stderr.write(f"portal: {printable(message.say(self._language))}\n")


@contextmanager
def _progress(language: str) -> Iterator[Callable[[Message], None]]:
    """Show what is going on, on a terminal's standard error; elsewhere nothing."""
    with Console(stderr=True).status("") as status:
        yield lambda message: status.update(literal(message.say(language)))


def _write_text(run: AccessComparison, language: str) -> None:
    shown: dict[DifferenceKind, list[AccessDifference]] = {kind: [] for kind in DifferenceKind}
    for each in run.differences():
        if len(shown[each.kind]) < ROWS:
            shown[each.kind].append(each)
    console = Console(highlight=False)
    for kind, differences in shown.items():
        if differences:
            console.print(f"[bold]{literal(kind.heading.say(language))}[/bold] ({run.found[kind]:,})")
            console.print(_table(differences, language))
            if left := run.found[kind] - len(differences):
                more = _n("and {n} more, not shown here.", "and {n} more, not shown here.", left)
                console.print(f"  {literal(more.say(language))}")
    for line in summary(run):
        sys.stdout.write(f"{line.say(language)}\n")


def summary(run: AccessComparison) -> Iterator[Message]:
    """Yield the counts, and what was not compared."""
    found = run.found.total()
    yield sentences(
        _n("{n} line read,", "{n} lines read,", run.lines),
        _n("{n} customer compared:", "{n} customers compared:", run.customers),
        _n("{n} difference.", "{n} differences.", found) if found else _("no difference."),
    )
    if run.bad_lines:
        yield _n("{n} line could not be read.", "{n} lines could not be read.", run.bad_lines)
    if run.not_asked:
        yield _("Stripe could not be asked about those whom the mirror does not know.")


def _table(differences: Iterable[AccessDifference], language: str) -> Table:
    table = Table(box=None, show_header=False, padding=(0, 1))
    # An id is copied, so it stays whole.
    table.add_column(min_width=_ID_WIDTH, overflow="fold")
    table.add_column(overflow="fold")
    for each in differences:
        who = "\n".join(literal(name) for name in (each.customer_id, each.email) if name)
        table.add_row(who, literal(_why(each).say(language)))
    return table


def _why(difference: AccessDifference) -> Message:
    """Say why, since when, and what it costs a month."""
    parts: list[Message] = []
    if difference.line is not None:
        parts.append(_("Line {line}.", line=str(difference.line)))
    if difference.kind is not DifferenceKind.UNKNOWN_TO_STRIPE:
        parts.append(_("Reason: {reason} ({code}).", reason=REASONS[difference.reason], code=difference.reason.value))
    if difference.product:
        parts.append(_("Product {product}.", product=difference.product))
    if difference.since is not None:
        parts.append(_("No service since {day}.", day=_day(difference.since)))
    if difference.until is not None:
        parts.append(_("This changes on {day}.", day=_day(difference.until)))
    if any(difference.monthly.amounts.values()):
        parts.append(_("{amounts} a month.", amounts=written_amounts(difference.monthly.amounts)))
    return sentences(*parts)


def _day(seconds: int) -> Any:
    return datetime.fromtimestamp(seconds, UTC).date()


def _flat(difference: AccessDifference) -> dict[str, Any]:
    """Return one difference for programs: times are Unix seconds, amounts are of the currency's main unit."""
    return {
        "kind": difference.kind.value,
        "customer": difference.customer_id,
        "email": difference.email,
        "line": difference.line,
        "product": difference.product,
        "reason": difference.reason.value,
        "since": difference.since,
        "until": difference.until,
        "monthly": {code: str(in_major_units(each, code)) for code, each in difference.monthly.amounts.items()},
        "subscriptions": list(difference.subscriptions),
    }


def _write_json(run: AccessComparison, _language: str) -> None:
    """Write one object, a difference at a time: there may be a million."""
    write, between = sys.stdout.write, "\n"
    write(f'{{"version": {JSON_VERSION}, "differences": [')
    for each in run.differences():
        write(f"{between}  {json.dumps(_flat(each))}")
        between = ",\n"
    counts = {
        "lines": run.lines,
        "bad_lines": run.bad_lines,
        "customers": run.customers,
        "is_whole": run.is_whole,
        "found": {kind.value: run.found[kind] for kind in DifferenceKind},
    }
    write(f"\n], {json.dumps(counts)[1:]}\n")


def _write_csv(run: AccessComparison, language: str) -> None:
    """Write a line for each difference; times are ISO 8601, UTC."""
    print_csv(_COLUMNS, (_csv_row(each, language) for each in run.differences()), times=("since", "until"))


def _csv_row(difference: AccessDifference, language: str) -> dict[str, Any]:
    flat = _flat(difference)
    return {
        **flat,
        "monthly": "; ".join(f"{amount} {code.upper()}" for code, amount in flat["monthly"].items()),
        "subscriptions": " ".join(difference.subscriptions),
        "meaning": difference.kind.heading.say(language),
    }


_WRITERS: dict[RowsForm, Callable[[AccessComparison, str], None]] = {
    "text": _write_text,
    "json": _write_json,
    "csv": _write_csv,
}
