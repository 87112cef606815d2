"""The colours of the report, in a light and in a dark scheme."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Scheme:
    """Colours as CSS has them; text of every kind stands on `card` and on `box`."""

    page: str
    card: str
    box: str
    rule: str
    text: str
    muted: str
    link: str
    critical: str
    warning: str
    info: str
    bar: str
    tonight: str
    gap: str


# A client that inverts colours by itself leaves the bars as they are: they have to be seen on black, too.
LIGHT = Scheme(
    page="#eef1f4",
    card="#ffffff",
    box="#f1f4f8",
    rule="#d9dfe5",
    text="#1d2733",
    muted="#52606d",
    link="#1a56a8",
    critical="#b3261e",
    warning="#8a5a00",
    info="#3b5b7a",
    bar="#7d8b99",
    tonight="#2f78d0",
    gap="#e3e8ed",
)
DARK = Scheme(
    page="#0f1317",
    card="#1b2127",
    box="#262e36",
    rule="#38424c",
    text="#e7ebef",
    muted="#a9b4bf",
    link="#8fbaf7",
    critical="#ff8f86",
    warning="#f0b64c",
    info="#9cc2e6",
    bar="#8a97a4",
    tonight="#8fbaf7",
    gap="#2b333b",
)

# What the mail opens with, by how it stands: the same in both schemes, under `ON_BAND`.
BANDS = {"alarm": "#b3261e", "attention": "#7a5000", "good": "#1e6b45"}
ON_BAND = "#ffffff"
