"""Overlap `skip` with a consumer that needs longer than two periods: ticks never overlap, and none is forgotten."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from infra.database.schedule_runs import SKIPPED
from tests.ledger import Account, account
from tests.system.replicas.clock import SLOW
from tests.system.replicas.consumers.slow import CONSUMER, WORK
from tests.system.replicas.fleet import Fleet
from tests.waiting import until

pytestmark = pytest.mark.system


def seen(fleet: Fleet) -> Account:
    """With those due times that may still be decided left out."""
    return account(fleet.database, SLOW.name, datetime.now(UTC) - timedelta(seconds=2))


@pytest.mark.timeout(200)
def test_a_due_time_is_left_out_while_a_consumer_is_still_at_the_one_before(fleet: Fleet) -> None:
    fleet.start()
    until(lambda: len(seen(fleet).fired) > 3, seconds=60, what="four ticks of the slow consumer")
    one = seen(fleet)
    assert all(after.fired_at - before.fired_at >= timedelta(seconds=WORK) for before, after in pairwise(one.fired))
    notes = {str(run.note) for run in one.runs.values() if run.state == SKIPPED}
    assert any(note.startswith(f"{CONSUMER} has not ended the tick of ") for note in notes)
    assert (sorted(one.runs), []) == (one.due, one.gaps)
