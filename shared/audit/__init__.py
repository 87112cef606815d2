"""The audit: reads the Stripe account, runs every check, and renders the report as JSON and CSV."""
