"""Finds every paused subscription and tells the team by e-mail."""
