"""Customers pause and resume their own subscriptions; a schedule finishes and follows every pause."""
