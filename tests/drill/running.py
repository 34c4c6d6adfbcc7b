"""A drill from its first fault to the last check."""

import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from tests.drill.faults.fault import Fault
from tests.drill.load import Registration
from tests.drill.phases import CALM, Phase
from tests.drill.stage import Stage
from tests.drill.witnesses import Witnesses

#: Seconds of load before a fault, and of a phase in which nothing fails.
LEAD, CALM_SECONDS = 1.5, 5.0
#: Seconds that the drill waits for recovery before it goes on, and for the end of everything.
PATIENCE, DRAIN = 90.0, 240.0
#: Seconds for what comes after all effects: events that nobody waits for, dead letters that are kept, jobs in a tier.
SILENCE = 60.0
#: Seconds that recovery is taken to need when it is asked whether a further fault fits.
USUAL = 8.0
#: Seconds between two looks, and between two lines of progress.
LOOK, TELL = 0.25, 10.0


@dataclass(frozen=True, slots=True)
class Plan:
    """Which faults, and for how long."""

    faults: Sequence[Fault]
    #: After so many seconds no further fault is begun.
    seconds: float
    seed: int
    #: Run each of them once, however long that takes.
    each_once: bool = False

    def hold(self, fault: Fault) -> float:
        """Seconds that a fault lasts: a short drill cuts the long ones down."""
        return min(fault.seconds, max(5.0, self.seconds / 4))


class Drill:
    """Injects one fault after the other while the load goes on, and waits for the recovery from each."""

    def __init__(self, stage: Stage, plan: Plan, say: Callable[[str], None]) -> None:
        self.phases: list[Phase] = []
        self.drained = False
        #: When the load ended (time.time()): what was due by then is looked at.
        self.ended = 0.0
        self._stage = stage
        self._plan = plan
        self._say = say
        #: Users that need not be waited for any more; those of them that were not handled in time.
        self._handled: set[str] = set()
        self._late: set[str] = set()
        self.witnesses = Witnesses(stage.database, stage.mailbox)

    def run(self) -> None:
        """All of it; leaves the load stopped and the programs running."""
        began = time.monotonic()
        calm = self._enter(CALM)
        time.sleep(CALM_SECONDS)
        self._recover(calm, time.time())
        for fault in self._next_faults(began):
            self._fail(fault)
        self._say("healed; the load ends, and what is left is handled")
        self._stage.load.stop()
        self.ended = time.time()
        self._handled -= self._late
        self.drained = self._wait(self._stage.load.so_far(), time.time(), DRAIN) is not None and self._quiet()

    def _quiet(self) -> bool:
        deadline = time.monotonic() + SILENCE
        while not (quiet := self.witnesses.is_quiet()) and time.monotonic() < deadline:
            time.sleep(LOOK)
        return quiet

    def undrained(self) -> list[str]:
        """In words, what kept the drill from ending well: some of the registrations that are not through."""
        if self.drained:
            return []
        left = self.witnesses.unhandled(self._stage.load.so_far())
        if not left:
            return [
                f"outbox and dead letters' queue are not empty, or jobs not done, {SILENCE:g} s after all was handled"
            ]
        shown = [f"{one.email} ({', '.join(self.witnesses.missing(one))})" for one in left[:3]]
        return [f"{len(left)} registrations are not handled {DRAIN:g} s after the last fault: {'; '.join(shown)}"]

    def _next_faults(self, began: float) -> Iterator[Fault]:
        """In their order, then again in a new one, until the time is over."""
        shuffle, faults = random.Random(self._plan.seed), list(self._plan.faults)
        first = True
        while faults:
            for fault in faults:
                ends = time.monotonic() - began + LEAD + self._plan.hold(fault) + USUAL
                if ends <= self._plan.seconds or (first and self._plan.each_once):
                    yield fault
            first = False
            if time.monotonic() - began + LEAD + USUAL > self._plan.seconds:
                return
            shuffle.shuffle(faults)

    def _fail(self, fault: Fault) -> None:
        phase = self._enter(fault.name, fault)
        time.sleep(LEAD)
        injected = time.time()
        with self._noting(phase, "injected"):
            fault.inject(self._stage)
            time.sleep(self._plan.hold(fault))
        healed = time.time()
        with self._noting(phase, "healed"):
            healed = fault.heal(self._stage)
        phase.held = max(0.0, healed - injected)
        self._recover(phase, healed)

    @contextmanager
    def _noting(self, phase: Phase, what: str) -> Iterator[None]:
        """A fault that cannot be had must not hide what the others did."""
        try:
            yield
        except Exception as error:  # noqa: BLE001  # the drill goes on, and its table says so
            phase.trouble = f"could not be {what}: {type(error).__name__}: {' '.join(str(error).split())[:200]}"
            self._say(f"{phase.name} {phase.trouble}")

    def _enter(self, name: str, fault: Fault | None = None) -> Phase:
        phase = Phase(len(self.phases), name, fault)
        self._stage.load.enter(phase.index)
        self.phases.append(phase)
        self._deliveries = self._stage.proxy.deliveries.total, self._stage.proxy.deliveries.duplicates
        return phase

    def _recover(self, phase: Phase, healed: float) -> None:
        phase.recovery = self._wait(self._stage.load.so_far(), healed, PATIENCE)
        total, duplicates = self._deliveries
        phase.deliveries = self._stage.proxy.deliveries.total - total
        phase.duplicate_deliveries = self._stage.proxy.deliveries.duplicates - duplicates
        answers = self._stage.load.answers[phase.index]
        took = "NOT RECOVERED" if phase.recovery is None else f"recovered in {phase.recovery:.1f} s"
        told = f"{answers.by_status[201]} accepted, {answers.refused} refused"
        self._say(f"{phase.name}: held {phase.held:.1f} s, {took}; {told}")

    def _wait(self, accepted: Sequence[Registration], since: float, patience: float) -> float | None:
        """Seconds from `since` until all of these are handled, None when the patience is over."""
        left, told = [one for one in accepted if one.user_id not in self._handled], time.monotonic()
        while left := self.witnesses.unhandled(left):
            if time.time() - since > patience:
                self._late.update(one.user_id for one in left)  # they are this phase's, and not the next ones'
                break
            if time.monotonic() - told > TELL:
                self._say(f"  {len(left)} of {len(accepted)} to be handled")
                told = time.monotonic()
            time.sleep(LOOK)
        self._handled.update(one.user_id for one in accepted)
        if left:
            return None
        return max(0.0, time.time() - since)
