"""What Stripe's hosted customer portal does and does not offer, and why: one set of rules for all who ask."""
