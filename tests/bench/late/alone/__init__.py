"""One that takes event by event."""
