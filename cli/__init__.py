"""The `portal` command for the person who runs the bundle."""
