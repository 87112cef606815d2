"""What earlier nights found, so that a report can say what changed."""
