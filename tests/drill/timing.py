"""What became of the drill's due times, counted at the end from ledger, gaps, event log and journal."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from infra.database.schedule_tables import ScheduleGap
from tests.drill import journal
from tests.drill.consumers.ticks import CONSUMER
from tests.drill.phases import Phase, at
from tests.drill.stage import Stage
from tests.drill.ticking import TICKING
from tests.ledger import Account, account


@dataclass(frozen=True, slots=True)
class Timing:
    """The due times of a drill, up to its end."""

    accounts: Sequence[Account]
    #: How often the consumer wrote each event down.
    heard: Counter[str]
    #: The phases in which a gap began, for each gap.
    phases: Sequence[Phase]

    def strange(self) -> list[str]:
        """In words, what is not as promised."""
        fired = [run.event_id for one in self.accounts for run in one.runs.values() if run.state == "fired"]
        things = {
            "due times that nobody decided": sum(len(one.unexplained) for one in self.accounts),
            "due times that are none": sum(len(one.too_many) for one in self.accounts),
            "due times missed that no gap counts": sum(abs(len(one.unfired) - one.missed) for one in self.accounts),
            "due times missed of a schedule that announces all": sum(
                len(one.unfired) for one in self.accounts if one.schedule.missed == "all"
            ),
            "timed events whose consumer did not get them": sum(not self.heard[event] for event in fired),
            "timed events twice": sum(number > 1 for number in self.heard.values()),
        }
        gaps = [
            f"a gap of {gap.due} due times of {gap.schedule} though {phase.name} leaves schedulers their time"
            for gap, phase in zip(self._gaps(), self.phases, strict=True)
            if phase.fault is None or not phase.fault.ticks_may_be_missed
        ]
        return [f"{number} {what}" for what, number in things.items() if number] + gaps

    def __str__(self) -> str:
        due = sum(len(one.due) for one in self.accounts)
        missed = sum(len(one.unfired) for one in self.accounts)
        names = sorted({phase.name for phase in self.phases})
        why = f" by policy in {len(self.phases)} gaps ({', '.join(names)})" if names else ""
        return f"{due:,} due times: {missed} missed{why}, {sum(n > 1 for n in self.heard.values())} announced twice"

    def _gaps(self) -> list[ScheduleGap]:
        return [gap for one in self.accounts for gap in one.gaps]


def look(stage: Stage, phases: list[Phase], upto: float) -> Timing:
    """Everything that was due by then."""
    end = datetime.fromtimestamp(upto, UTC)
    accounts = [account(stage.database, schedule.name, end) for schedule in TICKING]
    heard = Counter(row.event_id for row in journal.rows(stage.database, CONSUMER))
    gaps = [gap for one in accounts for gap in one.gaps]
    return Timing(accounts, heard, [at(phases, gap.last_due_at.timestamp()) for gap in gaps])
