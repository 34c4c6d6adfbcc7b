"""The drill's table for people, and the same for programs."""

import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from tests.drill.verdict import Row

#: Heading -> field of a row, with its width.
_COLUMNS = {
    "times": ("times", 6),
    "held s": ("held", 7),
    "accepted": ("accepted", 9),
    "indeterm.": ("indeterminate", 10),
    "lost": ("lost", 5),
    "dup. deliveries": ("duplicate_deliveries", 16),
    "dup. rows": ("double_rows", 10),
    "dup. mails": ("double_mails", 11),
    "parked": ("parked", 7),
    "out of order": ("out_of_order", 13),
    "recovery s": ("recovery", 11),
}


@dataclass(frozen=True, slots=True)
class Report:
    """All that a drill found out."""

    seed: int
    versions: Mapping[str, str]
    #: Registrations per second.
    rate: float
    rows: Sequence[Row]
    #: Faults that the time was too short for.
    not_run: Sequence[str]
    #: What is wrong and belongs to no fault.
    strange: Sequence[str]
    #: What else there is to say.
    notes: Sequence[str] = ()

    @property
    def is_good(self) -> bool:
        """Whether everything was as promised."""
        return not self.strange and not any(row.wrong for row in self.rows)

    def table(self) -> str:
        """For people."""
        versions = ", ".join(f"{name} {number}" for name, number in self.versions.items())
        head = f"seed {self.seed}; {versions}, Python {platform.python_version()}; {self.rate:g} registrations/s"
        titles = "".join(f"{title:>{width}}" for title, (_, width) in _COLUMNS.items())
        lines = [head, "", f"{'fault':<19}{titles}", *(_line(row) for row in [*self.rows, _total(self.rows)]), ""]
        lines += [f"{note[0].upper()}{note[1:]}." for note in self.notes]
        if self.not_run:
            lines.append(f"No time for: {', '.join(self.not_run)}")
        lines += [f"WRONG: {row.fault}: {what}" for row in self.rows for what in row.wrong]
        lines += [f"WRONG: {what}" for what in self.strange]
        lines.append("All as promised." if self.is_good else "Not as promised.")
        return "\n".join(lines)

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        return {
            "seed": self.seed,
            "versions": {**self.versions, "Python": platform.python_version()},
            "rate": self.rate,
            "faults": [asdict(row) for row in self.rows],
            "not_run": list(self.not_run),
            "strange": list(self.strange),
            "notes": list(self.notes),
            "good": self.is_good,
        }


def _line(row: Row) -> str:
    return f"{row.fault:<19}" + "".join(f"{_cell(getattr(row, name)):>{width}}" for name, width in _COLUMNS.values())


def _cell(value: float | None) -> str:
    if value is None:
        return "never"
    return f"{value:.1f}" if isinstance(value, float) else f"{value:,}"


def _total(rows: Sequence[Row]) -> Row:
    sums = [name for name, _ in _COLUMNS.values() if name not in ("held", "recovery")]
    values: dict[str, Any] = {name: sum(getattr(row, name) for row in rows) for name in sums}
    recoveries = [row.recovery for row in rows]
    worst = None if None in recoveries else max((one for one in recoveries if one is not None), default=0.0)
    return Row("all", held=sum(row.held for row in rows), recovery=worst, **values)
