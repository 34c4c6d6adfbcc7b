"""What a lane takes from its queue: everything, nothing, or a single message."""

import enum


class Mode(enum.Enum):
    """Of a lane: what is wanted of it; of an epoch: what it does."""

    RUNNING = "running"
    #: Nothing: the queue keeps its messages.
    PAUSED = "paused"
    #: One message, and then it is paused again.
    PROBING = "probing"
