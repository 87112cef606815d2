"""What two functions need: models, settings, the mirror, the Stripe gateway and errors."""
