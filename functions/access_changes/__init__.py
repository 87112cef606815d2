"""Publishes an event whenever the answer to "does this customer have service?" changes."""
