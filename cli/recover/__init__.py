"""`portal backfill`, `reconcile` and `replay`."""
