"""The contents of a portal.yaml: portal configurations by name, and which of the bundle's groups use them."""

import re
from collections.abc import Mapping
from typing import Annotated, Any

import stripe
from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from shared.portal.configuration import Configuration, Listed, Part

# The version that the locked library speaks.
PINNED_VERSION = stripe.api_version
# A date; from 2024-09-30.acacia on with the release's name (docs.stripe.com/api-versions).
_VERSION = r"^(\d{4}-\d\d-\d\d\.[a-z_]+|20(1\d|2[0-3])-\d\d-\d\d|2024-0([1-8]-\d\d|9-[0-2]\d))$"
# The key of a configuration's metadata that says which entry of which file it is.
MARK = "portal_yaml"
_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,39}")
Word = Annotated[str, Field(pattern=rf"^{_WORD.pattern}$")]
# Quotation marks and backslashes would not survive the way into the stack's parameter.
PortalGroup = Annotated[str, Field(pattern=r'^[^"\\\x00-\x1f]{1,100}$')]


MOST_METADATA = 49


class Entry(Configuration):
    """One portal configuration of the file.

    With `default: true` it is the account's default, with an `id` a configuration that other code created. With
    neither, `portal apply` creates it, and finds it again by its mark in the metadata.
    """

    id: Annotated[str, Field(pattern=r"^bpc_\w+$")] | None = None
    groups: Listed[PortalGroup] = ()

    @model_validator(mode="after")
    def _has_room_for_the_mark(self) -> "Entry":
        if MARK in self.metadata:
            raise PydanticCustomError("reserved_key", f"metadata.{MARK} is reserved")
        if len(self.metadata) > MOST_METADATA:
            raise PydanticCustomError("too_much_metadata", f"metadata has more than {MOST_METADATA} keys")
        return self

    @property
    def marked(self) -> bool:
        """Whether `portal apply` finds it by its mark."""
        return not self.default and self.id is None


class Portal(Part):
    """The whole file. `project` tells apart two files that share an account."""

    api_version: Annotated[str, Field(pattern=_VERSION)] = PINNED_VERSION
    project: Word | None = None
    configurations: Annotated[dict[Word, Entry], Field(min_length=1)]

    def mark(self, name: str) -> str:
        """Return the value of `MARK` in the metadata of an entry's configuration."""
        return f"{self.project}/{name}" if self.project else name

    def name_of(self, configuration: Mapping[str, Any]) -> str | None:
        """Return the entry's name from a configuration's mark; `None` without a mark, or with another file's."""
        mark = (configuration.get("metadata") or {}).get(MARK)
        if not isinstance(mark, str) or configuration.get("is_default"):
            return None
        name = mark.rpartition("/")[2]
        return name if _WORD.fullmatch(name) and self.mark(name) == mark else None
