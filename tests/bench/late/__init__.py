"""Consumers that are added when there is a past."""
