"""The rows of a drill's table, one for each fault, and what of it is not as promised."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.drill.counting import Counts
from tests.drill.phases import Phase

#: Seconds within which all that was accepted must be handled after a fault is healed.
RECOVERY = 30.0


@dataclass(slots=True)
class Row:
    """One fault, all of its times together."""

    fault: str
    times: int = 0
    #: Seconds, the longest.
    held: float = 0.0
    accepted: int = 0
    indeterminate: int = 0
    refused: int = 0
    lost: int = 0
    duplicate_deliveries: int = 0
    double_rows: int = 0
    double_mails: int = 0
    parked: int = 0
    out_of_order: int = 0
    #: Seconds, the longest; None: it did not recover in the time that the drill waits.
    recovery: float | None = 0.0
    wrong: list[str] = field(default_factory=list)


def rows(phases: Sequence[Phase], counts: Counts) -> list[Row]:
    """A row for each fault, in the order in which they first came."""
    found: dict[str, Row] = {}
    for phase in phases:
        _add(found.setdefault(phase.name, Row(phase.name)), phase, counts)
    return list(found.values())


def _add(row: Row, phase: Phase, counts: Counts) -> None:
    tally = counts.tallies[phase.index]
    row.times += 1
    row.held = max(row.held, phase.held)
    row.duplicate_deliveries += phase.duplicate_deliveries
    for name in (
        "accepted",
        "indeterminate",
        "refused",
        "lost",
        "double_rows",
        "double_mails",
        "parked",
        "out_of_order",
    ):
        setattr(row, name, getattr(row, name) + getattr(tally, name))
    both = (row.recovery, phase.recovery)
    row.recovery = None if None in both else max(each for each in both if each is not None)
    row.wrong += [f"{number} {what}" for what, number in _wrong(phase, counts).items() if number]
    if phase.trouble:
        row.wrong.append(phase.trouble)
    if phase.recovery is None or phase.recovery > RECOVERY:
        row.wrong.append(f"not recovered within {RECOVERY:g} s")


def _wrong(phase: Phase, counts: Counts) -> dict[str, int]:
    tally = counts.tallies[phase.index]
    must_answer = phase.fault is None or phase.fault.gateway_answers
    return {
        "lost": tally.lost,
        "database effects twice": tally.double_rows,
        "mails twice outside the named window": tally.wrong_mails,
        "registrations not answered 2xx at once": tally.refused if must_answer else 0,
    }
