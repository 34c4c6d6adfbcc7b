"""The duty that ends jobs whose message has ended without them: given up by the broker, discarded, gone."""

from functools import partial
from typing import cast

import structlog
from sqlmodel import Session

from infra.database import stranded
from infra.database.engine import Database
from infra.database.stranded import STATES, Stranded
from infra.jobs import ending
from infra.jobs.ending import Ended

#: Seconds between two looks at all jobs that are open, and between two parts of one.
PAUSE, SOON = 5.0, 0.25
#: Jobs of each state in one part.
PART = 1_000
#: By what became of the message.
_TEXTS = {
    "given up": "It was given up without a try that could say so ({reason}): {error}",
    "discarded": "An operator has discarded its dead letter.",
    "superseded": "An operator has sent its request again, changed, in its place.",
    "settled": "Its message was settled without it: start it again.",
    "retired": "Its kind is no more: the consumer {kind} has been retired.",
    "gone": "Its request was taken back, or removed, before anybody began.",
}
_log = structlog.get_logger(__name__)


class Reconciling:
    """Goes over the open jobs, a part of them at a time."""

    def __init__(self, database: Database) -> None:
        self._database = database
        #: Where the look at each state goes on.
        self._after = dict.fromkeys(STATES, "")

    def step(self) -> float:
        """One part of each state."""
        return min([self._look(state) for state in STATES])

    def _look(self, state: str) -> float:
        with self._database.reading() as session:
            found, last = stranded.look(session, state, after=self._after[state], most=PART)
        for each in found:
            self._end(each)
        self._after[state] = last or ""
        return PAUSE if last is None else SOON

    def _end(self, job: Stranded) -> None:
        if (state := self._database.run(partial(_end, job=job))) is not None:
            _log.warning("job ended without a worker", job=job.id, kind=job.kind, state=state, why=job.why)


def _end(session: Session, job: Stranded) -> str | None:
    text = _TEXTS[job.why].format(kind=job.kind, reason=job.reason, error=job.error)
    state = stranded.end(session, job, text)
    if state is not None:
        said = cast("Ended", state)
        ending.tell(session, job_id=job.id, kind=job.kind, event_id=job.event_id, state=said, source="/consumers")
    return state
