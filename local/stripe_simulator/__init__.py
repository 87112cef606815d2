"""A stateful Stripe on 127.0.0.1, so that Stripe's own library and CLI can be used without an account."""
