"""Setting a deployment up, checking it, and rotating its secrets."""
