"""Remembers which customers a run has seen, within a memory that does not grow with the account."""

from array import array
from base64 import b64decode, b64encode
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import blake2b

MOST_CUSTOMERS = 100_000


@dataclass(frozen=True, slots=True)
class KnownCustomers:
    """The digests of the customers seen so far, and of those seen more than once; base64 of 8 bytes for each."""

    once: str = ""
    again: str = ""


class SeenCustomers:
    """Holds 8 bytes of a digest for each of the first `most` customers; later ones are not remembered."""

    def __init__(self, most: int = MOST_CUSTOMERS) -> None:
        self._most = most
        self._once: set[int] = set()
        self._again: set[int] = set()

    def dump(self) -> "KnownCustomers":
        """Answer all that is remembered."""
        return KnownCustomers(_packed(self._once), _packed(self._again))

    def load(self, known: "KnownCustomers") -> None:
        """Remember what was dumped."""
        self._once, self._again = _unpacked(known.once), _unpacked(known.again)

    def is_seen_for_the_second_time(self, customer_id: str) -> bool:
        """Remember the customer, and answer `True` at the second sight only: not at the first, nor at the third."""
        key = int.from_bytes(blake2b(customer_id.encode(), digest_size=8).digest())
        if key in self._once:
            again = key not in self._again
            self._again.add(key)
            return again
        if len(self._once) < self._most:
            self._once.add(key)
        return False


def _packed(digests: Iterable[int]) -> str:
    return b64encode(array("Q", sorted(digests)).tobytes()).decode()


def _unpacked(packed: str) -> set[int]:
    return set(array("Q", b64decode(packed)))
