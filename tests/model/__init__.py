"""A model of the broker with our own code around it: what the state machine of the events' road plays with."""
