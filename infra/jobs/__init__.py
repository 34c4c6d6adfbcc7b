"""Jobs: work that takes a while, asked for as an event, and seen from its first second to its result."""
