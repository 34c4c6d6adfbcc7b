"""Whether this program reads every event that the database holds: before it is deployed, and after."""

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from pydantic import BaseModel, Field

from events.envelope import decode
from events.errors import UndecodableEvent
from infra.database import bodies
from infra.database.bodies import PLACES, Filter, Kept, Place
from infra.database.engine import Database
from infra.evidence import one_line

#: Failures that are named one by one.
NAMED = 20
#: Reasons for which a message was given up because it could not be read.
_UNREAD = frozenset({"not-json", "invalid-data", "unknown-type", "newer-version", "too-large"})
_VERSION = re.compile(rb'"dataschema": ?"/schemas/[a-z0-9.]{1,255}/([0-9]{1,6})"')


class Failure(BaseModel):
    """An event that cannot be read: named by its id, without anything that it says."""

    place: Place
    id: str = Field(description="Of the event; of a dead letter its own.")
    type: str | None
    version: int | None
    problem: str


class TypeView(BaseModel):
    """How many events there are of one version of one type."""

    type: str
    version: int | None
    read: int
    unreadable: int


class LiveView(BaseModel):
    """What was read of all that the database holds."""

    read: int
    unreadable: int
    given_up_as_unreadable: int = Field(description="Dead letters that say so themselves, and still cannot be read.")
    readable_again: int = Field(description="Dead letters that say so, and can be read now: replay them.")
    erased: int = Field(description="Places of the log whose event was erased: nothing is left to be read.")
    places: dict[Place, int]
    types: list[TypeView]
    failures: list[Failure] = Field(description=f"The first {NAMED} of them.")


@dataclass(slots=True)
class Reading:
    """Reads all that is wanted, and counts; `show` is told after each slice where it is."""

    show: Callable[[str], None] = lambda _: None
    _read: Counter[tuple[str, int | None]] = field(default_factory=Counter)
    _unreadable: Counter[tuple[str, int | None]] = field(default_factory=Counter)
    _places: Counter[Place] = field(default_factory=Counter)
    _failures: list[Failure] = field(default_factory=list)
    _given_up: int = 0
    _again: int = 0
    _erased: int = 0

    def read(self, database: Database, wanted: Filter) -> LiveView:
        """Everything, from one place after the other.

        Raises:
            DatabaseUnavailable: the database is away.
        """
        for place in PLACES:
            for rows in bodies.slices(database, place, wanted):
                for row in rows:
                    self._one(place, row)
                self._places[place] += len(rows)
                at = f", position {rows[-1].key:,}" if place == "log" else ""
                bad = f"; {self._unreadable.total():,} cannot be read" if self._unreadable else ""
                self.show(f"{place}: {self._places[place]:,} read{at}{bad}")
        return self._told()

    def _one(self, place: Place, row: Kept) -> None:
        if row.is_erased:
            self._erased += 1
            return
        body = row.bytes
        try:
            name = decode(body).type
        except UndecodableEvent as error:
            self._failed(place, row, _version(body), one_line(str(error)))
            return
        self._read[name, _version(body)] += 1
        self._again += row.reason in _UNREAD

    def _failed(self, place: Place, row: Kept, version: int | None, problem: str) -> None:
        if row.reason in _UNREAD:
            self._given_up += 1
            return
        self._unreadable[row.type or "", version] += 1
        if len(self._failures) < NAMED:
            failure = Failure(place=place, id=row.id, type=row.type, version=version, problem=problem)
            self._failures.append(failure)

    def _told(self) -> LiveView:
        kinds = sorted(self._read.keys() | self._unreadable.keys(), key=lambda kind: (kind[0], kind[1] or 0))
        return LiveView(
            read=self._read.total(),
            unreadable=self._unreadable.total(),
            given_up_as_unreadable=self._given_up,
            readable_again=self._again,
            erased=self._erased,
            places={place: self._places[place] for place in PLACES},
            types=[
                TypeView(type=name, version=of, read=self._read[name, of], unreadable=self._unreadable[name, of])
                for name, of in kinds
            ],
            failures=self._failures,
        )


def _version(body: bytes) -> int | None:
    """As its first `dataschema` says, which is the envelope's own in all that we have written."""
    found = _VERSION.search(body)
    return int(found[1]) if found else None
