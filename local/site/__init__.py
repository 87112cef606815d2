"""The demo site: a made-up company that sells subscriptions with Stripe."""
