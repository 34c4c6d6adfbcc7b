"""Erasing: slice by slice through all places that may hold something about a person, each slice in a commit."""

import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, select, update
from sqlmodel import Session

from infra.database import erasures
from infra.database.engine import Database
from infra.database.job_tables import JobFile
from infra.database.personal import ERASED, Key, Person, Place
from infra.database.personal_places import JOBS, PLACES, files
from infra.database.tables import Activity, EventLog, User, table
from infra.errors import NotKnown, NotStored
from infra.jobs.storing import Store, job_of
from infra.personal.searching import names

#: The kind of jobs that erase people.
KIND = "erase-user"
#: After this time, longer than all retries, what was under way meanwhile is looked for once more.
AGAIN = timedelta(hours=6)
#: Seconds for which transactions that were open when it began are waited for; the server ends idle ones after 60.
_PATIENCE, _PAUSE = 90.0, 0.05
#: Seconds after which a walk that has found nothing writes down where it is.
EVERY = 5.0
#: Files of results that are looked into after one look at their rows.
_FILES = 100
_USER, _FILE = table(User), table(JobFile)
_FIND = select(_USER.c.email)

#: `step(state)` is a transaction that commits the state with what is done in it.
Step = Callable[[Any], AbstractContextManager[Session]]
#: Told after each slice: how far it is, and what was erased so far.
Tell = Callable[[float, str], None]


@dataclass(slots=True)
class Progress:
    """How far an erasure has come; kept as JSON between its steps."""

    begun_at: datetime
    address: str | None = None
    place: int = 0
    after: list[Any] | None = None
    rows: Counter[str] = field(default_factory=Counter)
    #: Rows that others are still to have, which wait for the later pass.
    left: int = 0
    #: Id of the event that told others: it is over, and no address is needed any more.
    announced: str | None = None

    @classmethod
    def read(cls, state: Mapping[str, Any]) -> "Progress":
        """What `written` made of one."""
        begun, rows = datetime.fromisoformat(state["begun_at"]), Counter(state["rows"])
        return cls(begun, state["address"], state["place"], state["after"], rows, state["left"], state["announced"])

    def written(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "begun_at": self.begun_at.isoformat(),
            "address": self.address,
            "place": self.place,
            "after": self.after,
            "rows": dict(self.rows),
            "left": self.left,
            "announced": self.announced,
        }

    def about(self, person: Person) -> Person:
        """The person with the address that was theirs when it began."""
        return replace(person, address=self.address, until=self.begun_at)


def known(session: Session, subject: str, *, is_there: bool = False) -> str | None:
    """The address of somebody; who was erased already is known without one, unless they have to be there.

    Raises:
        NotKnown: nobody has this id.
    """
    address: str | None = session.connection().execute(_FIND.where(_USER.c.id == subject)).scalar()
    was_erased = not is_there and erasures.find(session, subject) is not None
    if address is None and not was_erased and not _has_traces(session, subject):
        raise NotKnown("No user has this id, and nothing is kept about it.")
    return address


def beginning(session: Session, subject: str) -> Progress:
    """Where it begins. One that did not end leaves the address, and until when it was theirs, to the next one.

    Raises:
        NotKnown: nobody has this id.
    """
    address, before = known(session, subject), erasures.find(session, subject)
    if address is None and before is not None and before.address is not None:
        return Progress(before.begun_at, before.address)
    return Progress(datetime.now(UTC), address)


def _has_traces(session: Session, subject: str) -> bool:
    places = (table(EventLog), table(Activity))
    found = (select(each.c.event_id).where(each.c.subject == subject).limit(1) for each in places)
    return any(session.connection().execute(each).first() is not None for each in found)


class Erasing:
    """Erases one person; each slice is a step of its own, which does the same thing if it is done twice."""

    def __init__(self, database: Database, store: Store, person: Person, *, step: Step, tell: Tell) -> None:
        """Remember; nothing is done before it is asked for."""
        self._database = database
        self._store = store
        self._person = person
        self._step = step
        self._tell = tell
        self._kept = time.monotonic()

    def begin(self, progress: Progress) -> None:
        """From here on nothing of the person is handled; and what had been claimed by then has ended."""
        with self._step(progress.written()) as session:
            erasures.begin(session, self._person.id, progress.begun_at, progress.address)
        until = time.monotonic() + _PATIENCE
        with self._database.reading() as session:
            others = erasures.begun(session)
            while not erasures.is_over(session, others) and time.monotonic() < until:
                self._tell(0.0, "waits for transactions that were open")
                time.sleep(_PAUSE)

    def erase(self, progress: Progress) -> None:
        """All that is left, from where it stands."""
        person = progress.about(self._person)
        for number in range(progress.place, len(PLACES)):
            progress.place = number
            self._place(PLACES[number], person, progress)
            progress.after = None
        progress.place = len(PLACES)
        self._files(person, progress)

    def end(self) -> None:
        """Have SQLite put its write-ahead log, with what was before, aside; who reads may keep it from that."""
        with self._database.reading() as session:
            if self._database.is_sqlite:
                session.connection().exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")

    def _place(self, place: Place, person: Person, progress: Progress) -> None:
        after = place.first if progress.after is None else place.read(progress.after)
        while True:
            with self._database.reading() as session:
                end = place.end(session, person, after)
                if end is None:
                    return
                which = place.within(person, after, end)
                if found := place.count(session, which, progress.begun_at):
                    which, left = place.now(session, person, which)
                    found = place.count(session, which, progress.begun_at) if left else found
                    progress.left += left
            after, progress.after = end, place.written(end)
            if found:
                progress.rows += found
                self._erase(place, which, progress)
            else:
                self._keep(progress)
            self._tell(progress.place / (len(PLACES) + 1), f"{place.name}: {progress.rows.total():,} rows so far")

    def _erase(self, place: Place, which: ColumnElement[bool], progress: Progress) -> None:
        if place is JOBS:  # first the files: their rows tell where they are, should it end in between
            self._remove(which)
        with self._step(progress.written()) as session:
            overwrite(session)
            place.erase(session, which, datetime.now(UTC))

    def _keep(self, progress: Progress) -> None:
        """Where it is, now and then: a long walk that finds nothing is not to begin anew."""
        if time.monotonic() - self._kept > EVERY:
            with self._step(progress.written()):
                self._kept = time.monotonic()

    def _remove(self, which: ColumnElement[bool]) -> None:
        """The files of these jobs, those that a try has left which did not come to count them among them."""
        with self._database.reading() as session:
            run = session.connection().execute
            keys, jobs = (
                {row.key for row in run(files(which))},
                set(run(select(JOBS.table.c.id).where(which)).scalars()),
            )
        keys |= {key for key in self._store.keys(datetime.now(UTC)) if job_of(key) in jobs}
        for key in keys:
            self._store.remove(key)

    def _files(self, person: Person, progress: Progress) -> None:
        """Results of jobs that were about something else, and that name the person all the same."""
        nameless = replace(person, address=None)  # who has the address from then on is somebody else
        after: Key = ("", -1) if progress.after is None else tuple(progress.after)
        while rows := self._some_files(after):
            for one in rows:
                progress.after = [one.job_id, one.ordinal]
                if self._names(one.key, person if one.created_at < progress.begun_at else nameless):
                    progress.rows["job_file"] += 1
                    self._store.remove(one.key)
                    with self._step(progress.written()) as session:
                        which = (_FILE.c.job_id == one.job_id, _FILE.c.ordinal == one.ordinal)
                        gone = {"key": None, "name": ERASED, "digest": ""}
                        session.connection().execute(update(_FILE).where(*which).values(gone))
                else:
                    self._keep(progress)
                self._tell(1.0, f"files of results: {progress.rows.total():,} rows so far")
            after = (rows[-1].job_id, rows[-1].ordinal)

    def _some_files(self, after: Key) -> list[Any]:
        job, number = after
        ahead = (_FILE.c.job_id > job) | ((_FILE.c.job_id == job) & (_FILE.c.ordinal > number))
        with self._database.reading() as session:
            found = select(_FILE).where(ahead, _FILE.c.key.is_not(None)).order_by(*_FILE.primary_key).limit(_FILES)
            return list(session.connection().execute(found))

    def _names(self, key: str, person: Person) -> bool:
        with suppress(NotStored), self._store.open(key) as file:
            return names(file, person)
        return False


def overwrite(session: Session) -> None:
    """Have SQLite write over what is erased; PostgreSQL's vacuum makes room of it sooner or later."""
    if session.connection().dialect.name == "sqlite":
        session.connection().exec_driver_sql("PRAGMA secure_delete=ON")
