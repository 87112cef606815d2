"""Keeps the mirror of subscriptions true to Stripe's events."""
