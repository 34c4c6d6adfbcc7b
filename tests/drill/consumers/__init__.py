"""Consumers of the drill alone: `TIDINGS_CONSUMER_PACKAGES=tests.drill.consumers`."""
