"""`portal scan`."""
