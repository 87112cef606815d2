"""The objects of the simulated account."""
