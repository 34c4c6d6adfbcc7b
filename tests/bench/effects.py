"""What a registration must lead to, as seen from outside: a mail in the sink and an activity row in the database."""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sqlalchemy import NullPool, create_engine, text

from infra.errors import TidingsError
from tests.bench.load import Posted

#: Seconds between two looks: an upper bound of the error of a time taken from the rows.
LOOK = 0.03
#: Seconds without any progress after which what is missing counts as lost.
STUCK = 60.0

#: Both sides' tables answer this.
COUNT = "SELECT count(*) FROM activity WHERE type = 'user.registered'"

#: Gives time.time() of each mail to each recipient.
Mails = Callable[[], Sequence[tuple[str, float]]]


@dataclass(frozen=True, slots=True)
class Effects:
    """When the first and the last effect came (time.time()), the mails of this phase, and what was wrong."""

    first: float
    last: float
    mailed_at: dict[str, float]
    wrong: list[str]


class Watch:
    """Looks at one database and one mail sink; each phase of a run counts what is new since it began."""

    def __init__(self, database: str, mails: Mails) -> None:
        self._engine = create_engine(database, poolclass=NullPool)
        self._mails = mails
        self._rows_before = 0
        self._mails_before = 0

    def begin(self) -> None:
        """Count from now."""
        self._rows_before += self._rows()
        self._mails_before = len(self._mails())

    def wait(self, posted: Sequence[Posted], alive: Callable[[], None]) -> Effects:
        """Until each accepted registration has its mail and its row, or nothing moves any more."""
        accepted = {one.email for one in posted if one.status == 201}
        first, last_row = self._rows_arrive(len(accepted), alive)
        mails = self._new_mails()
        times = [at for _, at in mails]
        wrong = _differences(posted, accepted, mails, self._rows())
        return Effects(
            first=min([first, *times]), last=max([last_row, *times]), mailed_at=dict(reversed(mails)), wrong=wrong
        )

    def _rows_arrive(self, expected: int, alive: Callable[[], None]) -> tuple[float, float]:
        first: float | None = None
        seen, moved_at = (0, 0), time.time()
        while True:
            now, found = time.time(), (self._rows(), len({to for to, _ in self._new_mails()}))
            if first is None and max(found) > 0:
                first = now
            if found != seen:
                seen, moved_at = found, now
            if min(seen) >= expected or now - moved_at > STUCK:
                return first or now, moved_at
            alive()
            time.sleep(LOOK)

    def _new_mails(self) -> list[tuple[str, float]]:
        return list(self._mails()[self._mails_before :])

    def _rows(self) -> int:
        with self._engine.connect() as connection:
            count = connection.execute(text(COUNT)).scalar_one()
        return int(count) - self._rows_before


def _differences(
    posted: Sequence[Posted], accepted: set[str], mails: Sequence[tuple[str, float]], rows: int
) -> list[str]:
    """In words, all that is not exactly one mail and one row for each accepted registration."""
    copies = Counter(recipient for recipient, _ in mails)
    refused = Counter(one.status for one in posted if one.status != 201)
    found = {
        "mails lost": len(accepted - copies.keys()),
        "mails without an accepted registration": len(copies.keys() - accepted),
        "mails sent twice": sum(count > 1 for count in copies.values()),
        "activity rows lost": max(0, len(accepted) - rows),
        "activity rows too many": max(0, rows - len(accepted)),
        **{f"POSTs answered {status or 'nothing'}": count for status, count in refused.items()},
    }
    return [f"{count} {what}" for what, count in found.items() if count]


def must_accept(posted: Sequence[Posted]) -> None:
    """End a run in which there is nothing to measure.

    Raises:
        TidingsError: not one registration was accepted.
    """
    if not any(one.status == 201 for one in posted):
        statuses = Counter(one.status for one in posted)
        raise TidingsError(f"No registration was accepted: {dict(statuses)}.")
