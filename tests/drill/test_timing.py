"""What a drill calls missed, double and forgotten of its due times: shown on ledgers made by hand."""

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest

from infra.database.schedule_tables import Schedule, ScheduleGap
from infra.database.tables import ScheduleRun
from tests.drill.faults.fault import Fault
from tests.drill.faults.programs import Killed, NoScheduler
from tests.drill.phases import Phase
from tests.drill.timing import Timing
from tests.ledger import Account

BEGIN = datetime(2026, 11, 22, 9, 30, tzinfo=UTC)
DUE = [BEGIN + timedelta(seconds=second) for second in range(4)]


def run(due: datetime, state: str = "fired") -> ScheduleRun:
    return ScheduleRun(schedule="tick", due_at=due, event_id=f"e-{due:%S}", fired_at=due, state=state)


def gap(due: int, fired: int) -> ScheduleGap:
    span = {"first_due_at": DUE[0], "last_due_at": DUE[1], "found_at": DUE[3]}
    return ScheduleGap(id="1", schedule="tick", reason="missed", due=due, fired=fired, policy="latest", **span)


def timing(
    runs: Sequence[ScheduleRun],
    gaps: Sequence[ScheduleGap] = (),
    missed: str = "latest",
    fault: Fault | None = None,
    heard: Sequence[str] | None = None,
) -> Timing:
    schedule = Schedule(
        name="tick", origin="code", description="", trigger={"every": "1s"}, type="drill.ticked", missed=missed,
        missed_limit=100, overlap="allow", counts_from=BEGIN, created_at=BEGIN, version=1,
    )  # fmt: skip
    one = Account(schedule, DUE, {each.due_at: each for each in runs}, gaps)
    events = heard if heard is not None else [each.event_id for each in runs if each.state == "fired"]
    phase = Phase(0, fault.name if fault else "(none)", fault)
    return Timing([one], Counter(events), [phase for _ in gaps])


ALL = [run(due) for due in DUE]
FORGOTTEN = "1 due times that nobody decided"


def test_all_fired_and_heard_once_is_as_promised() -> None:
    assert [] == timing(ALL).strange()
    assert "4 due times: 0 missed, 0 announced twice" == str(timing(ALL))


def test_what_a_policy_dropped_while_no_scheduler_ran_is_as_promised() -> None:
    found = timing(ALL[1:], [gap(2, 1)], fault=NoScheduler())
    assert [] == found.strange()
    assert "4 due times: 1 missed by policy in 1 gaps (scheduler-away), 0 announced twice" == str(found)


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (timing(ALL[1:]), FORGOTTEN),
        (timing(ALL[1:], [gap(2, 2)], fault=NoScheduler()), "1 due times missed that no gap counts"),
        (timing([*ALL, run(BEGIN - timedelta(seconds=1))]), "1 due times that are none"),
        (
            timing(ALL[1:], [gap(2, 1)], "all", fault=NoScheduler()),
            "1 due times missed of a schedule that announces all",
        ),
        (timing(ALL, heard=["e-00", "e-01", "e-02"]), "1 timed events whose consumer did not get them"),
        (timing(ALL, heard=["e-00", "e-01", "e-02", "e-03", "e-03"]), "1 timed events twice"),
        (
            timing(ALL[1:], [gap(2, 1)], fault=Killed("scheduler")),
            "a gap of 2 due times of tick though scheduler-kill leaves schedulers their time",
        ),
    ],
)
def test_a_drill_says_what_is_wrong(found: Timing, said: str) -> None:
    assert said in found.strange()
