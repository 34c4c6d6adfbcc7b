"""Consumers of the replicas' ticks: `TIDINGS_CONSUMER_PACKAGES=tests.system.replicas.consumers`."""
