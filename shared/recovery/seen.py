"""Remembers which subscriptions Stripe listed, in 8 bytes for each: an account's ids may be more than memory is."""

from array import array
from bisect import bisect_left
from collections.abc import Iterable
from hashlib import blake2b

# Numbers are sorted a chunk at a time: Python's own list of them is five times as large as an array.
CHUNK = 100_000


class Seen:
    """A set of (customer, subscription), each as 64 bits of a digest: of 10 million, two share one in 300,000 runs."""

    def __init__(self) -> None:
        self._fresh: set[int] = set()
        self._sorted: list[array[int]] = []

    def add(self, keys: Iterable[tuple[str, str]]) -> None:
        """Remember them; what is known already does no harm."""
        self._fresh.update(map(_digest, keys))
        if len(self._fresh) >= CHUNK:
            self._sort()

    def __contains__(self, key: tuple[str, str]) -> bool:
        """Tell whether it was listed."""
        wanted = _digest(key)
        if wanted in self._fresh:
            return True
        places = ((numbers, bisect_left(numbers, wanted)) for numbers in self._sorted)
        return any(place < len(numbers) and numbers[place] == wanted for numbers, place in places)

    def dump(self) -> bytes:
        """Answer all of it, for `load` on any machine of this byte order."""
        self._sort()
        return b"".join(numbers.tobytes() for numbers in self._sorted)

    def load(self, dumped: bytes) -> None:
        """Remember what another set dumped."""
        numbers: array[int] = array("Q")
        numbers.frombytes(dumped)
        for first in range(0, len(numbers), CHUNK):
            self._sorted.append(array("Q", sorted(numbers[first : first + CHUNK])))

    def _sort(self) -> None:
        if self._fresh:
            self._sorted.append(array("Q", sorted(self._fresh)))
            self._fresh = set()


def _digest(key: tuple[str, str]) -> int:
    return int.from_bytes(blake2b("\0".join(key).encode(), digest_size=8).digest())
