"""The drill's timed events: three schedules of each second, one for each policy for what was missed."""

from pydantic import AwareDatetime

from events.envelope import Event
from infra.schedules.triggers import Every
from scheduler.timetable import Schedule


class DrillTicked(Event, type="drill.ticked", version=1, subject="schedule"):
    """A second of a drill."""

    schedule: str
    due_at: AwareDatetime


def _schedule(name: str, missed: str) -> Schedule:
    return Schedule(
        name=name,
        trigger=Every(every="1s"),
        type=DrillTicked.TYPE,
        announce=lambda due: DrillTicked(schedule=name, due_at=due),
        missed=missed,
        description="Ticks during a drill.",
    )


TICKING = (_schedule("drill-all", "all"), _schedule("drill-latest", "latest"), _schedule("drill-skip", "skip"))
