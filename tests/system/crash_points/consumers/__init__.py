"""Consumers of the crash points: `TIDINGS_CONSUMER_PACKAGES=tests.system.crash_points.consumers`."""
