"""Stripe as the bundle reads it; knows nothing of the mirror, the portal rules or the audit."""
