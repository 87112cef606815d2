"""The simulated customer portal."""
