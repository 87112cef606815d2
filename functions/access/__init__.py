"""Answers whether a customer has service now, why, and until when."""
