"""A consumer beside the one that is in trouble: `TIDINGS_CONSUMER_PACKAGES=tests.system.neighbours`."""
