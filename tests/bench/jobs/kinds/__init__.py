"""Kinds of jobs of the bench alone: `TIDINGS_CONSUMER_PACKAGES=tests.bench.jobs.kinds`."""
