"""What is measured of jobs, as one record per side, database and round; the table of medians and ratios."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

from tests.bench.figures import Target


@dataclass(frozen=True, slots=True)
class Figures:
    """One round of one side on one database; seconds unless the name says otherwise."""

    #: With the worker at work at the same time.
    asked_per_s: float
    asked_p50: float
    asked_p99: float
    #: From the first POST to the last job's end.
    done_per_s: float
    #: Gateway and worker, for 1,000 jobs from POST to end.
    cpu_per_1000: float
    #: Broker and PostgreSQL over the same time.
    servers_cpu_per_1000: float
    #: With the worker stopped.
    alone_asked_per_s: float
    alone_asked_p50: float
    alone_asked_p99: float
    #: The backlog of the phase before, from its first end to its last.
    drain_per_s: float
    #: From the start of the worker's process to the last end.
    drain_from_start: float
    #: The start of the worker included.
    drain_cpu_per_1000: float
    #: Share of the machine that others took while jobs were asked for and done: 0 is a quiet machine.
    disturbed: float


@dataclass(frozen=True, slots=True)
class Round:
    """The figures of one round, and in words what was lost, doubled or refused; empty when all is as it must be."""

    figures: Figures
    wrong: list[str]


#: The rounds of each side, by database and side's name.
Results = Mapping[str, Mapping[str, Sequence[Round]]]
TARGETS = (
    Target("done_per_s", "through: POST to the last end", "1/s", at_least=1.5),
    Target("drain_per_s", "drained from a backlog", "1/s", at_least=1.5),
    Target("drain_from_start", "  from start of the worker", "s"),
    Target("asked_per_s", "accepted, worker at work", "1/s"),
    Target("asked_p50", "  POST p50", "ms", 1000),
    Target("asked_p99", "  POST p99", "ms", 1000),
    Target("alone_asked_per_s", "accepted, worker stopped", "1/s"),
    Target("cpu_per_1000", "CPU s per 1,000", "s"),
    Target("drain_cpu_per_1000", "  of the drain alone", "s"),
    Target("servers_cpu_per_1000", "  servers' CPU s per 1,000", "s"),
)


def medians(rounds: Sequence[Round]) -> dict[str, float]:
    """The median of each figure over the rounds."""
    names = [each.name for each in fields(Figures)]
    return {name: statistics.median(getattr(one.figures, name) for one in rounds) for name in names}


def table(results: Results) -> str:
    """One block per database: medians, and ours as a multiple of each other side."""
    return "\n\n".join(_block(database, sides) for database, sides in results.items())


def _block(database: str, sides: Mapping[str, Sequence[Round]]) -> str:
    middle = {name: medians(rounds) for name, rounds in sides.items() if rounds}
    others = [name for name in middle if name != "ours" and "ours" in middle]
    heads = [f"{name:>20}" for name in middle] + [f"{'ours/' + name:>25}" for name in others]
    lines = [f"{database:<32}{'':>4}{''.join(heads)}"]
    for target in TARGETS:
        cells = [f"{_number(middle[name][target.figure] * target.scale):>20}" for name in middle]
        cells += [f"{_verdict(target, middle['ours'], middle[name]):>25}" for name in others]
        lines.append(f"{target.text:<32}{target.unit:>4}{''.join(cells)}")
    for name, rounds in sides.items():
        taken = max((one.figures.disturbed for one in rounds), default=0.0)
        spread = [f"{one.figures.drain_per_s:.0f}" for one in rounds]
        lines.append(f"{name}: drained {', '.join(spread)} per s; others took up to {taken:.0%} of the machine")
        lines += [f"{name}, round {index}: WRONG: {what}" for index, one in enumerate(rounds, 1) for what in one.wrong]
    return "\n".join(lines)


def _verdict(target: Target, ours: Mapping[str, float], other: Mapping[str, float]) -> str:
    ratio = ours[target.figure] / (other[target.figure] or float("nan"))
    met = target.met(ratio)
    return f"{ratio:.2f}x" + ("" if met is None else f" ({target.wanted} {'met' if met else 'MISSED'})")


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:,.1f}" if value >= 10 else f"{value:,.2f}"
