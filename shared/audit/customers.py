"""Remembers which customers a run has seen, within a memory that does not grow with the account."""

from hashlib import blake2b

MOST_CUSTOMERS = 100_000


class SeenCustomers:
    """Holds 8 bytes of a digest for each of the first `most` customers; later ones are not remembered."""

    def __init__(self, most: int = MOST_CUSTOMERS) -> None:
        self._most = most
        self._once: set[int] = set()
        self._again: set[int] = set()

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
