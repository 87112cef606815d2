"""What Stripe's customer portal does, in one model."""
