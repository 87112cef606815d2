"""What a portal.yaml may say: portal configurations by name, and which of the bundle's groups use them."""

import re
from collections.abc import Mapping
from typing import Annotated, Any
from urllib.parse import urlsplit

import stripe
from pydantic import AfterValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from shared.portal.configuration import Features, Listed, Part

# The version that the locked library speaks.
PINNED_VERSION = stripe.api_version
# A date; from 2024-09-30.acacia on with the release's name (docs.stripe.com/api-versions).
_VERSION = r"^(\d{4}-\d\d-\d\d\.[a-z_]+|20(1\d|2[0-3])-\d\d-\d\d|2024-0([1-8]-\d\d|9-[0-2]\d))$"
# The key of a configuration's metadata that says which entry of which file it is.
MARK = "portal_yaml"
_LONGEST_URL = 5000
_NOT_IN_URLS = re.compile(r"[\s\x00-\x1f\\]")


def _url(value: str) -> str:
    try:
        parts = urlsplit(value)
        good = parts.scheme in {"http", "https"} and bool(parts.hostname) and not _NOT_IN_URLS.search(value)
    except ValueError:
        good = False
    if not good or len(value) > _LONGEST_URL:
        raise PydanticCustomError("bad_url", "is not an address like https://www.example.com/terms")
    return value


Url = Annotated[str, AfterValidator(_url)]
_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,39}")
Word = Annotated[str, Field(pattern=rf"^{_WORD.pattern}$")]
# Quotation marks and backslashes would not survive the way into the stack's parameter.
PortalGroup = Annotated[str, Field(pattern=r'^[^"\\\x00-\x1f]{1,100}$')]
MetadataKey = Annotated[str, Field(pattern=r"^[^\[\]]{1,40}$")]
MetadataValue = Annotated[str, Field(min_length=1, max_length=500)]


class BusinessProfile(Part):
    """What customers see on top of the portal."""

    headline: str | None = None
    privacy_policy_url: Url | None = None
    terms_of_service_url: Url | None = None


class LoginPage(Part):
    """The link without code: customers log in by e-mail."""

    enabled: bool


class Entry(Part):
    """One portal configuration.

    `default`: it is the account's default configuration, which only the Dashboard makes. `id`: it is that
    configuration, which the file did not make. With neither, it is found by its mark in the metadata.
    """

    default: bool = False
    id: Annotated[str, Field(pattern=r"^bpc_\w+$")] | None = None
    active: bool = True
    name: Annotated[str, Field(min_length=1, max_length=5000)] | None = None
    groups: Listed[PortalGroup] = ()
    business_profile: BusinessProfile = BusinessProfile()
    default_return_url: Url | None = None
    login_page: LoginPage = LoginPage(enabled=False)
    features: Features = Features()
    metadata: Annotated[dict[MetadataKey, MetadataValue], Field(max_length=49, default_factory=dict)]

    @model_validator(mode="after")
    def _consistent(self) -> "Entry":
        if MARK in self.metadata:
            raise PydanticCustomError("reserved_key", f"metadata.{MARK} is the mark of `portal apply` itself")
        return self

    @property
    def marked(self) -> bool:
        """Whether it is found by its mark."""
        return not self.default and self.id is None


class Portal(Part):
    """The whole file; `project` keeps two files apart that share an account."""

    api_version: Annotated[str, Field(pattern=_VERSION)] = PINNED_VERSION
    project: Word | None = None
    configurations: Annotated[dict[Word, Entry], Field(min_length=1)]

    def mark(self, name: str) -> str:
        """Return what stands under `MARK` in the metadata of an entry's configuration."""
        return f"{self.project}/{name}" if self.project else name

    def name_of(self, configuration: Mapping[str, Any]) -> str | None:
        """Return the entry's name in a configuration's mark, or nothing if it has none, or another file's."""
        mark = (configuration.get("metadata") or {}).get(MARK)
        if not isinstance(mark, str) or configuration.get("is_default"):
            return None
        name = mark.rpartition("/")[2]
        return name if _WORD.fullmatch(name) and self.mark(name) == mark else None
