"""A kind of jobs that keeps the machine busy: `TIDINGS_CONSUMER_PACKAGES=tests.system.grinding`."""
