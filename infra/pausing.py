"""Consumers that pause themselves when their failures run on, try one message now and then, and go on by themselves.

The table `pause` is the truth: every process follows it, and over all processes one at a time tries a message. What is
counted are failures of the handler and its effects, in a row. A message that cannot be read says nothing about the
consumer and is passed over; so is one that is held because the database is away.
"""

import threading
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Protocol

import structlog
from sqlmodel import Session

from infra import metrics
from infra.courses import Course, class_of, failed
from infra.database import pauses
from infra.database.engine import Database
from infra.database.pauses import FAILURES, OPERATOR
from infra.database.recovery_tables import Pause
from infra.outcomes import Hold, Outcome
from infra.rabbitmq.modes import Mode
from infra.relaying.trouble import Trouble
from infra.subscriptions import Subscription

#: Seconds between two looks at the table.
LOOK_EVERY = 1.0
#: Seconds from a pause to its first probe, and from a probe that failed to the next.
PROBE_EVERY = 30.0
#: Seconds that a look has to end when the program does.
_GRACE = 1.0
_HOW = {OPERATOR: "paused by an operator", FAILURES: "paused itself after failures in a row"}

_log = structlog.get_logger(__name__)


class Lanes(Protocol):
    """The consumers of this process, as the broker has them."""

    on_ended: Callable[[str, Outcome], None] | None

    def turn(self, consumer: str, mode: Mode) -> None:
        """Have a consumer take everything, nothing, or one message and then nothing."""

    def is_busy(self, consumer: str) -> bool:
        """Whether it waits for the message of a probe, or is at work on any."""


class Pausing:
    """Counts what the consumers of this process make of their messages, and turns their lanes."""

    def __init__(
        self,
        database: Database,
        lanes: Lanes,
        subscriptions: Iterable[Subscription],
        *,
        holder: str,
        probe_every: float = PROBE_EVERY,
    ) -> None:
        """Listen to the lanes' outcomes; `holder` names this process and no other, `probe_every` is in seconds."""
        self._database = database
        self._lanes = lanes
        self._holder = holder
        self._probe_every = timedelta(seconds=probe_every)
        self._courses = {each.consumer: Course(each.consumer, each.pause_after) for each in subscriptions}
        self._trouble = Trouble("pausing")
        self._stopping = False
        self._wake = threading.Event()
        self._thread = threading.Thread(target=self._run, name="pausing", daemon=True)
        lanes.on_ended = self.ended

    @property
    def paused(self) -> dict[str, str]:
        """The paused consumers, and how it came."""
        return {course.consumer: _HOW[course.by] for course in self._courses.values() if course.by}

    def start(self) -> None:
        """Begin to follow the table; called once."""
        self._thread.start()

    def stop(self) -> None:
        """End after the present look."""
        self._stopping = True
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(_GRACE)

    def ended(self, consumer: str, outcome: Outcome) -> None:
        """Take note of how a delivery ended; on the worker's thread, so it only counts."""
        course = self._courses.get(consumer)
        if course is None:
            return
        says = failed(outcome)
        if says is not None:
            if course.note(says, class_of(outcome)):
                self._lanes.turn(consumer, Mode.PAUSED)
                self._wake.set()
        elif course.probing and not isinstance(outcome, Hold):
            self._lanes.turn(consumer, Mode.PROBING)  # the next message may say more

    def look(self) -> None:
        """Write down who has to pause, and bring every lane to where the table wants it."""
        try:
            self._pause_those_that_failed()
            with self._database.reading() as session:
                rows = pauses.paused(session)
            for course in self._courses.values():
                self._follow(course, rows.get(course.consumer), datetime.now(UTC))
            self._trouble.over()
        except Exception as error:  # noqa: BLE001  # whatever it was, the lanes stay as they are until the next look
            self._trouble.tell(error)

    def _run(self) -> None:
        while not self._stopping:
            self.look()
            self._wake.wait(LOOK_EVERY)
            self._wake.clear()

    def _pause_those_that_failed(self) -> None:
        for course in self._courses.values():
            if course.wants_pause:
                probe_at = datetime.now(UTC) + self._probe_every
                pause = partial(pauses.pause, by=FAILURES, reason=course.reason, probe_at=probe_at)
                self._write(pause, course)
                self._tell(course, FAILURES, course.reason)
                course.wants_pause = False

    def _follow(self, course: Course, row: Pause | None, now: datetime) -> None:
        metrics.CONSUMER_PAUSED.labels(course.consumer).set(row is not None)
        if row is None:
            self._go_on(course)
        elif row.probe_at is None:
            self._halt(course, row)
        elif course.probing:
            self._attend(course, row, now)
        elif row.probe_at <= now and not self._lanes.is_busy(course.consumer) and self._took_probe(course, now):
            course.begin_probe()
            self._lanes.turn(course.consumer, Mode.PROBING)
        else:
            self._halt(course, row)

    def _attend(self, course: Course, row: Pause, now: datetime) -> None:
        """See what became of the probe that is ours."""
        assert row.probe_at is not None
        idle = not self._lanes.is_busy(course.consumer)  # in this order: what is through has told its outcome
        if row.prober != self._holder:
            self._halt(course, row)
        elif course.went_well is True and self._write(partial(pauses.resume, only_its_own=True), course):
            self._go_on(course)
        elif course.went_well is True:  # an operator has just paused it
            self._halt(course, row)
        elif course.went_well is False:
            self._write(partial(pauses.end_probe, prober=self._holder, next_at=now + self._probe_every), course)
            self._halt(course, row)
        elif idle:  # its message was lost with the connection, or said nothing
            self._lanes.turn(course.consumer, Mode.PROBING)
        elif row.probe_at - now < self._probe_every / 2:
            self._write(partial(pauses.keep_probe, prober=self._holder, until=now + self._probe_every), course)

    def _took_probe(self, course: Course, now: datetime) -> bool:
        return self._write(
            partial(pauses.take_probe, prober=self._holder, now=now, until=now + self._probe_every), course
        )

    def _go_on(self, course: Course) -> None:
        if course.wants_pause:  # since the table was read
            return
        if course.by:
            _log.info("consumer goes on", consumer=course.consumer)
            course.reset()
        self._lanes.turn(course.consumer, Mode.RUNNING)

    def _halt(self, course: Course, row: Pause) -> None:
        self._tell(course, row.by, row.reason)
        course.probing = False
        self._lanes.turn(course.consumer, Mode.PAUSED)

    def _tell(self, course: Course, by: str, reason: str) -> None:
        if course.by != by:
            _log.warning("consumer paused", consumer=course.consumer, by=by, reason=reason)
        course.by = by

    def _write(self, change: Callable[[Session, str], bool], course: Course) -> bool:
        with self._database.transaction() as session:
            return change(session, course.consumer)
