"""Reads a company's own list of who is served: a CSV file of any size, a line at a time, whatever program wrote it.

A line that cannot be read is named, and never stops the others. Nothing of the file is kept here.
"""

import csv
import re
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO

from shared.errors import InvalidRequest, Sentence, sentence
from shared.i18n import Message, _

# A line that is longer is none of a list of customers, but a file without line ends.
LONGEST_LINE = 1024 * 1024
# A quoted field may hold line ends, such as those of an address; after so many lines, the quote was never closed.
MOST_LINES = 50
_DELIMITERS = ",;\t"
_CUSTOMER_ID = re.compile(r"cus_\w{1,251}", re.ASCII)
_EMAIL = re.compile(r"[^@\s]{1,250}@[^@\s]{1,250}")
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")
_REPLACEMENT = "\ufffd"

# The columns' usual names, in the order in which they are preferred; compared without case and punctuation.
_CUSTOMER_COLUMNS = (
    *("stripecustomerid", "customerid", "stripecustomer", "stripeid", "customer", "cus", "idclient", "client"),
)
_EMAIL_COLUMNS = ("email", "emailaddress", "customeremail", "useremail", "mail", "courriel", "adressemail")
_SERVED_COLUMNS = (
    *("served", "isserved", "hasaccess", "access", "granted", "active", "isactive", "enabled", "isenabled"),
    *("servi", "acces", "accès", "actif"),
)
_PRODUCT_COLUMNS = ("stripeproductid", "productid", "stripeproduct", "product", "produit")
_YES = frozenset({"yes", "y", "true", "t", "1", "on", "active", "enabled", "granted", "served", "x", "oui", "vrai"})
_NO = frozenset(
    {"no", "n", "false", "f", "0", "off", "inactive", "disabled", "denied", "revoked", "not served", "non", "faux"}
)


@dataclass(frozen=True, slots=True)
class ColumnNames:
    """The columns to use; what is `None` is found by its usual names."""

    customer: str | None = None
    served: str | None = None
    product: str | None = None


@dataclass(frozen=True, slots=True)
class ListedCustomer:
    """A line of the list: a customer's id, or an e-mail address in lower case; an empty product means any."""

    line: int
    customer: str
    served: bool
    product: str = ""

    @property
    def is_email(self) -> bool:
        """Whether the customer is named by an e-mail address."""
        return "@" in self.customer


@dataclass(frozen=True, slots=True)
class BadLine:
    """A line that cannot be read, by the number that an editor shows, and why."""

    line: int
    problem: Message


@dataclass(frozen=True, slots=True)
class _Record:
    line: int
    fields: Sequence[str]
    problem: Message | None = None


_NOT_CLOSED = _("a quote is not closed")
_TOO_LONG = _("the line is too long")


class ServedList:
    """A list whose header has been read; `rows` reads the rest, once.

    `file` is read from its present position. UTF-8, with or without a byte order mark; separated by comma, semicolon or
    tab; lines may end with CRLF. Raises `InvalidRequest` for a header without the columns.
    """

    def __init__(self, file: BinaryIO, wanted: ColumnNames = ColumnNames()) -> None:
        self._lines = _Lines(file)
        header = self._lines.header()
        self.delimiter = max(_DELIMITERS, key=lambda each: len(_split(header, each) or ()))
        self._names = [name.strip() for name in _split(header, self.delimiter) or ()]
        if not any(self._names):
            raise InvalidRequest("bad_list", sentence("The list is empty: its first line has to name the columns"))
        if any(_CUSTOMER_ID.fullmatch(name) or _EMAIL.fullmatch(name) for name in self._names):
            raise InvalidRequest(
                "bad_list", sentence("The first line has to name the columns, and holds a customer already")
            )
        found = [self._find(wanted.customer, "customer", _CUSTOMER_COLUMNS), self._find(None, "", _EMAIL_COLUMNS)]
        self._customers = [each for each in found if each is not None][: 1 if wanted.customer else 2]
        served = self._find(wanted.served, "served", _SERVED_COLUMNS)
        if not self._customers:
            raise InvalidRequest(
                "bad_list",
                sentence(
                    "Name the column of the customers' ids or e-mail addresses with --customer-column. {columns}",
                    columns=self._has(),
                ),
            )
        if served is None:
            raise InvalidRequest(
                "bad_list",
                sentence(
                    "Name the column that says who is served with --served-column. {columns}", columns=self._has()
                ),
            )
        self._served = served
        self._product = self._find(wanted.product, "product", _PRODUCT_COLUMNS)

    @property
    def has_products(self) -> bool:
        """Whether a line can be about one product."""
        return self._product is not None

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the columns that are used."""
        used = [*self._customers, self._served, *([] if self._product is None else [self._product])]
        return tuple(self._names[each] for each in used)

    def rows(self) -> Iterator[ListedCustomer | BadLine]:
        """Read the list to its end."""
        for record in self._lines.records(self.delimiter, len(self._names)):
            if record.problem:
                yield BadLine(record.line, record.problem)
            elif any(each.strip() for each in record.fields):
                yield self._read(record)

    def _read(self, record: _Record) -> ListedCustomer | BadLine:
        values = [record.fields[each].strip() for each in self._customers]
        customer = next(filter(None, values), "")
        if not customer:
            return BadLine(record.line, _("no customer"))
        is_email = "@" in customer
        if not (_EMAIL if is_email else _CUSTOMER_ID).fullmatch(customer) or _REPLACEMENT in customer:
            what = _("{value} is neither a customer id nor an e-mail address", value=_shown(customer))
            return BadLine(record.line, what)
        said = record.fields[self._served].strip()
        if said.lower() not in _YES | _NO:
            return BadLine(record.line, _("{value} is neither yes nor no", value=_shown(said)))
        product = "" if self._product is None else record.fields[self._product].strip()
        return ListedCustomer(record.line, customer.lower() if is_email else customer, said.lower() in _YES, product)

    def _find(self, wanted: str | None, what: str, usual: Sequence[str]) -> int | None:
        """Return the position of the wanted column, or of the first with a usual name."""
        if wanted is not None:
            same = [n for n, name in enumerate(self._names) if name.lower() == wanted.strip().lower()]
            if len(same) != 1:
                named = {"option": f"--{what}-column", "name": repr(wanted), "columns": self._has()}
                raise InvalidRequest(
                    "bad_list",
                    sentence("{option}: the list has several columns {name}. {columns}", **named)
                    if same
                    else sentence("{option}: the list has no column {name}. {columns}", **named),
                )
            return same[0]
        plain = [re.sub(r"[\W_]+", "", name).lower() for name in self._names]
        return next((plain.index(each) for each in usual if each in plain), None)

    def _has(self) -> Sentence:
        shown = ", ".join(name[:40] for name in self._names[:20])
        return sentence("The columns of the list are: {names}", names=shown)


class _Lines:
    """The lines of a file with their numbers, and records of one or several lines."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._number = 0
        self._next: deque[tuple[int, str]] = deque()

    def header(self) -> str:
        """Return the first line that is not empty."""
        while (line := self._take()) is not None:
            if line[1].startswith(_REPLACEMENT) or "\0" in line[1]:
                raise InvalidRequest("bad_list", sentence("The list is not a text in UTF-8: save it as CSV UTF-8"))
            if line[1].strip():
                return line[1]
        return ""

    def records(self, delimiter: str, width: int) -> Iterator[_Record]:
        """Yield each record with `width` fields, or with what is wrong about it.

        Where a quote is not closed, only its own line is given up.
        """
        while (first := self._take()) is not None:
            number, text = first
            if len(text) >= LONGEST_LINE:
                yield _Record(number, (), _TOO_LONG)
                continue
            following: list[tuple[int, str]] = []
            while text.count('"') % 2 and len(following) < MOST_LINES and (line := self._take()) is not None:
                following.append(line)
                text = f"{text}\n{line[1]}"
            record = _record(number, text, delimiter, width)
            if record.problem and following:
                self._next.extendleft(reversed(following))
                alone = _record(number, first[1], delimiter, width)
                record = _Record(number, (), _NOT_CLOSED) if alone.problem else alone
            yield record

    def _take(self) -> tuple[int, str] | None:
        if self._next:
            return self._next.popleft()
        line = self._file.readline(LONGEST_LINE)
        if not line:
            return None
        self._number += 1
        if self._number == 1:
            if line.startswith(_UTF_16):
                raise InvalidRequest("bad_list", sentence("The list is in UTF-16: save it as CSV UTF-8"))
            line = line.removeprefix(b"\xef\xbb\xbf")
        rest = line
        while len(rest) == LONGEST_LINE and not rest.endswith(b"\n"):
            rest = self._file.readline(LONGEST_LINE)
        # A line that was cut is as long as the limit: `errors` never makes it shorter than that.
        text = line.decode(errors="replace") if len(line) < LONGEST_LINE else " " * LONGEST_LINE
        return self._number, text.rstrip("\r\n") if len(line) < LONGEST_LINE else text


def _record(number: int, text: str, delimiter: str, width: int) -> _Record:
    fields = _split(text, delimiter)
    if fields is None:
        return _Record(number, (), _NOT_CLOSED)
    while len(fields) > width and not fields[-1].strip():
        fields.pop()
    if not any(each.strip() for each in fields):
        return _Record(number, ())
    if len(fields) != width:
        problem = _("the line has {found} columns, and the first line {expected}", found=len(fields), expected=width)
        return _Record(number, (), problem)
    return _Record(number, fields)


def _split(text: str, delimiter: str) -> list[str] | None:
    """Split a record; `None` where its quotes are wrong."""
    try:
        return next(csv.reader([text], delimiter=delimiter, strict=True), [])
    except csv.Error:
        return None


def _shown(value: str) -> str:
    return repr(value if len(value) <= 60 else f"{value[:60]}...")  # noqa: PLR2004 - as much as a line can show
