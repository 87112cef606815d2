"""The checks of the audit, grouped by what they look at."""
