"""The three programs of Tidings are ended."""

import time
from abc import abstractmethod
from contextlib import AbstractContextManager

from scheduler.deciding import GRACE
from tests.drill.faults.fault import Fault, Lasting
from tests.drill.programs import START, Programs
from tests.drill.stage import Stage
from tests.waiting import until

#: Seconds from a program's readiness to its first look, and from its last one to its death.
_LEEWAY = 2.0


class _Ended(Fault):
    """Recovery counts from the end of the program, so its new start is a part of it."""

    seconds = 0.0
    _program: str

    def __init__(self) -> None:
        self._at = 0.0

    def inject(self, stage: Stage) -> None:
        restarts = stage.programs.restarts(self._program)
        self._at = time.time()
        self.end(stage.programs)
        until(
            lambda: stage.programs.restarts(self._program) > restarts and stage.programs.is_ready(self._program),
            seconds=START,
            what=f"the new start of {self._program}",
        )
        if self._program == "scheduler":  # on a busy machine its new start may take longer than a due time may be late
            self.ticks_may_be_missed |= time.time() - self._at > GRACE.total_seconds() - _LEEWAY

    def heal(self, stage: Stage) -> float:
        return self._at

    @abstractmethod
    def end(self, programs: Programs) -> None:
        """End it."""


class Killed(_Ended):
    """kill -9: the supervisor starts it again."""

    def __init__(self, program: str) -> None:
        super().__init__()
        self.name = f"{program}-kill"
        self.gateway_answers = program != "gateway"
        self.mails_may_double = program == "consumers"
        self._program = program

    def end(self, programs: Programs) -> None:
        programs.kill(self._program)


class Terminated(_Ended):
    """SIGTERM: it ends in order, and the supervisor starts it again."""

    def __init__(self, program: str) -> None:
        super().__init__()
        self.name = f"{program}-term"
        self.gateway_answers = program != "gateway"
        self._program = program

    def end(self, programs: Programs) -> None:
        programs.terminate(self._program)


class NoScheduler(Lasting):
    """No scheduler runs, for longer than a due time may be late."""

    name = "scheduler-away"
    seconds = 14.0
    ticks_may_be_missed = True

    def context(self, stage: Stage) -> AbstractContextManager[None]:
        return stage.programs.stopped("scheduler")
