"""Finds the withdrawn parameter `features.subscription_pause` in a code base."""
