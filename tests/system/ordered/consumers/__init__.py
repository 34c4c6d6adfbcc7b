"""The consumers of these tests."""
