"""Everything needed to run the bundle on one machine without an account."""
