"""Measurements of the bundle's promises, each a command; README.md says which."""
