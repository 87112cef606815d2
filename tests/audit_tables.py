"""The table of checks in docs/reference/audit.md, written from the registry: `make reference`."""

import re
from pathlib import Path

from shared.audit.checks.configurations import CHECKS_OF_RULES
from shared.audit.checks.registry import CHECKS, OWN_FINDINGS

PAGE = Path(__file__).parents[1] / "docs" / "reference" / "audit.md"
_TABLE = re.compile(r"(<!-- checks of the audit -->\n)(.*?)(<!-- end of checks -->)", re.DOTALL)

# Those of the rules about configurations are documented with `portal lint`.
OWN_CHECKS = [check for check in CHECKS if check not in CHECKS_OF_RULES]


def lines() -> list[str]:
    """The lines of the table, in the order of the report; what the audit finds about itself comes last."""
    return [
        "| check | severity | title | what it reports | reads |",
        "|---|---|---|---|---|",
        *(
            f"| `{check.name}` | {', '.join(check.severities)} | {check.title.say('en')} | {check.reports} | "
            f"{check.permission} |"
            for check in OWN_CHECKS
        ),
        *(
            f"| `{name}` | {', '.join(own.severities)} | {own.title.say('en')} | {own.reports} | |"
            for name, own in OWN_FINDINGS.items()
        ),
    ]


def with_table(text: str) -> str:
    """The page with the table written anew."""
    return _TABLE.sub(lambda found: f"{found[1]}{chr(10).join(lines())}\n{found[3]}", text)


if __name__ == "__main__":
    PAGE.write_text(with_table(PAGE.read_text()))
