"""The phases of a drill: one for each fault that was injected, and a calm one before."""

import time
from dataclasses import dataclass, field

from tests.drill.faults.fault import Fault

#: Name of the phase before the first fault.
CALM = "(none)"


@dataclass(slots=True)
class Phase:
    """What one fault was, and when (time.time()); it lasts until the next one begins."""

    index: int
    name: str
    fault: Fault | None = None
    began: float = field(default_factory=time.time)
    #: Seconds from the injection to the healing.
    held: float = 0.0
    #: Seconds from the healing until all that was accepted before was handled; None: not within the patience.
    recovery: float | None = 0.0
    #: Deliveries of messages that had been delivered before.
    duplicate_deliveries: int = 0
    deliveries: int = 0
    #: Why the fault could not be injected or healed.
    trouble: str = ""


def at(phases: list[Phase], moment: float) -> Phase:
    """The phase in which something happened."""
    found = phases[0]
    for phase in phases:
        if phase.began <= moment:
            found = phase
    return found
