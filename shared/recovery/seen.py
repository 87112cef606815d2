"""Remembers which subscriptions Stripe listed, in a file of its own: an account's ids may be more than memory is."""

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager


class Seen:
    """A set of (customer, subscription)."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database
        database.execute("CREATE TABLE seen (customer TEXT, subscription TEXT, PRIMARY KEY (customer, subscription))")

    def add(self, keys: Iterable[tuple[str, str]]) -> None:
        """Remember them; what is known already stays."""
        self._database.executemany("INSERT OR IGNORE INTO seen VALUES (?, ?)", keys)

    def __contains__(self, key: tuple[str, str]) -> bool:
        """Tell whether it was listed."""
        query = "SELECT 1 FROM seen WHERE customer = ? AND subscription = ?"
        return self._database.execute(query, key).fetchone() is not None


@contextmanager
def nothing_seen() -> Iterator[Seen]:
    """Begin an empty set; SQLite deletes its temporary file at the end."""
    with closing(sqlite3.connect("", isolation_level=None)) as database:
        database.execute("PRAGMA journal_mode = OFF")
        yield Seen(database)
