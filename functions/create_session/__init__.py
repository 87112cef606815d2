"""Opens Stripe's customer portal for the right customer."""
