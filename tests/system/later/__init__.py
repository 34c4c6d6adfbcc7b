"""A consumer that plans ahead: `TIDINGS_CONSUMER_PACKAGES=tests.system.later`."""
