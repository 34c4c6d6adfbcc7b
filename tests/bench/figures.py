"""What is measured, as one record per side, database and round; medians and ratios over rounds; the targets."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, fields


@dataclass(frozen=True, slots=True)
class Figures:
    """One round of one side on one database; seconds unless the name says otherwise."""

    #: With the consumers at work at the same time.
    accepted_per_s: float
    post_p50: float
    post_p99: float
    #: From the first POST to the last effect.
    done_per_s: float
    #: Gateway and consumers, for 1,000 registrations from POST to effects.
    cpu_per_1000: float
    #: Broker, mail sink and PostgreSQL over the same time.
    servers_cpu_per_1000: float
    #: With the consumers stopped.
    alone_accepted_per_s: float
    alone_post_p50: float
    alone_post_p99: float
    #: The backlog of the phase before, from its first effect to its last.
    drain_per_s: float
    #: From the start of the consumers' process to the last effect.
    drain_from_start: float
    idle_p50: float
    idle_p90: float
    idle_post_p50: float
    #: Share of the machine that others took during the phase with the consumers at work: 0 is a quiet machine.
    disturbed: float


@dataclass(frozen=True, slots=True)
class Round:
    """The figures of one round, and in words what was lost, doubled or refused; empty when all is as it must be."""

    figures: Figures
    wrong: list[str]


@dataclass(frozen=True, slots=True)
class Target:
    """What ours must reach, as a ratio to plain."""

    figure: str
    text: str
    unit: str
    #: Factor from the record to the unit.
    scale: float = 1.0
    #: The ratio must be at least this …
    at_least: float | None = None
    #: … or at most this; neither: shown only.
    at_most: float | None = None

    def met(self, ratio: float) -> bool | None:
        """Whether the ratio reaches the target; None where there is none."""
        if self.at_least is not None:
            return ratio >= self.at_least
        return None if self.at_most is None else ratio <= self.at_most

    @property
    def wanted(self) -> str:
        """The target for people."""
        if self.at_least is not None:
            return f">= {self.at_least:g}x"
        return "" if self.at_most is None else f"<= {self.at_most:g}x"


TARGETS = (
    Target("accepted_per_s", "accepted, consumers at work", "1/s", at_least=3.0),
    Target("post_p50", "  POST p50", "ms", 1000),
    Target("post_p99", "  POST p99", "ms", 1000, at_most=0.2),
    Target("done_per_s", "  first POST to last effect", "1/s", at_least=2.0),
    Target("alone_accepted_per_s", "accepted, consumers stopped", "1/s", at_least=3.0),
    Target("alone_post_p50", "  POST p50", "ms", 1000),
    Target("alone_post_p99", "  POST p99", "ms", 1000, at_most=0.2),
    Target("drain_per_s", "drained from that backlog", "1/s", at_least=2.0),
    Target("drain_from_start", "  from start of consumers", "s"),
    Target("cpu_per_1000", "CPU s per 1,000", "s", at_most=0.5),
    Target("servers_cpu_per_1000", "  servers' CPU s per 1,000", "s"),
    Target("idle_p50", "idle POST to mail p50", "ms", 1000, at_most=1.0),
    Target("idle_p90", "  p90", "ms", 1000),
    Target("idle_post_p50", "  POST p50", "ms", 1000),
)


def medians(rounds: Sequence[Round]) -> dict[str, float]:
    """The median of each figure over the rounds."""
    names = [each.name for each in fields(Figures)]
    return {name: statistics.median(getattr(one.figures, name) for one in rounds) for name in names}


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least this share of all does not exceed (nearest rank)."""
    return sorted(values)[max(0, math.ceil(len(values) * share) - 1)]
