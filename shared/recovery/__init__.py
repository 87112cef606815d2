"""What makes the mirror whole again after a failure, for the `portal` command and for the audit."""
