"""What a fault is: something that is made to fail for some seconds and healed again."""

import time
from abc import ABC, abstractmethod
from contextlib import AbstractContextManager
from typing import ClassVar

from tests.drill.stage import Stage


class Fault(ABC):
    """One way to fail; `inject` and `heal` come in turn, and may come again."""

    #: What people choose it by.
    name: str
    #: Seconds that it lasts; 0 for what is over as soon as it has happened.
    seconds: float = 8.0
    #: The only database that can have it; None for both.
    only_on: ClassVar[str | None] = None
    #: Every valid registration must be answered 2xx meanwhile.
    gateway_answers: bool = True
    #: SMTP leaves open whether a mail was taken: it may come twice, with the same Message-ID.
    mails_may_double: bool = False
    #: No scheduler can write for so long that due times are missed: then each policy decides.
    ticks_may_be_missed: bool = False

    @abstractmethod
    def inject(self, stage: Stage) -> None:
        """Make it fail."""

    def heal(self, stage: Stage) -> float:
        """End it; gives the moment (time.time()) from which recovery counts."""
        return time.time()


class Lasting(Fault):
    """A fault that is a context: entered by `inject`, left by `heal`."""

    def __init__(self) -> None:
        self._active: AbstractContextManager[None] | None = None

    @abstractmethod
    def context(self, stage: Stage) -> AbstractContextManager[None]:
        """In which it fails."""

    def inject(self, stage: Stage) -> None:
        context = self.context(stage)
        context.__enter__()
        self._active = context

    def heal(self, stage: Stage) -> float:
        active, self._active = self._active, None
        if active is not None:
            active.__exit__(None, None, None)
        return time.time()
