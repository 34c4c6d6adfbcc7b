"""Where the bars and lines of a chart are: plain numbers, which the page's template draws as SVG."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from consumers.activity_report.figures import COLOURS, Figures

#: Of the whole chart, in units of its own; the plot is what its margins leave.
WIDTH, HEIGHT = 920.0, 320.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 72.0, 8.0, 12.0, 32.0
_PLOT_WIDTH, _PLOT_HEIGHT = WIDTH - _LEFT - _RIGHT, HEIGHT - _TOP - _BOTTOM
_LABELS, _TICKS = 10, 4
#: Of the small line beside a type.
SPARK_WIDTH, SPARK_HEIGHT = 160.0, 28.0


@dataclass(frozen=True, slots=True)
class Segment:
    """One colour of a bar."""

    y: float
    height: float
    colour: int
    title: str


@dataclass(frozen=True, slots=True)
class Bar:
    """One period."""

    x: float
    width: float
    segments: list[Segment]


@dataclass(frozen=True, slots=True)
class Mark:
    """A word at an axis."""

    at: float
    text: str


@dataclass(frozen=True, slots=True)
class Stacked:
    """The chart of all that happened."""

    bars: list[Bar]
    ticks: list[Mark]
    labels: list[Mark]
    left: float = _LEFT
    right: float = WIDTH - _RIGHT
    bottom: float = HEIGHT - _BOTTOM


def stacked(figures: Figures) -> Stacked:
    """A bar for each period, a colour for each type."""
    periods, columns = figures.periods(), figures.shown()
    most = max((each.total for each in periods), default=0)
    step = _step(most)
    lines = max(1, -(-most // step))
    highest = step * lines
    slot = _PLOT_WIDTH / max(1, len(periods))
    bars = []
    for number, period in enumerate(periods):
        values = [(name, numbers[number]) for name, numbers in columns]
        x = _LEFT + slot * (number + 0.1)
        bars.append(Bar(_round(x), _round(slot * 0.8), _segments(values, highest, period.name)))
    every = -(-len(periods) // _LABELS)
    labels = [
        Mark(_round(_LEFT + slot * (number + 0.5)), _short(period.first, figures.unit))
        for number, period in enumerate(periods)
        if number % max(1, every) == 0
    ]
    ticks = [Mark(_y(step * number, highest), f"{step * number:,}") for number in range(lines + 1)]
    return Stacked(bars, ticks, labels)


def spark(numbers: Sequence[int]) -> str:
    """The points of a small line; of one number alone a level one."""
    numbers = [*numbers, *numbers] if len(numbers) == 1 else numbers
    highest = max(numbers, default=0) or 1
    step = (SPARK_WIDTH - 4) / max(1, len(numbers) - 1)
    inner = SPARK_HEIGHT - 4
    return " ".join(
        f"{_round(2 + step * at):g},{_round(2 + inner * (1 - number / highest)):g}" for at, number in enumerate(numbers)
    )


def _segments(values: Sequence[tuple[str, int]], highest: int, when: str) -> list[Segment]:
    segments, below = [], 0
    for colour, (name, number) in enumerate(values):
        if number:
            top, foot = _y(below + number, highest), _y(below, highest)
            segments.append(Segment(top, _round(foot - top), min(colour, COLOURS), f"{when}: {number:,} {name}"))
            below += number
    return segments


def _y(value: int, highest: int) -> float:
    return _round(_TOP + _PLOT_HEIGHT * (1 - value / highest))


def _step(highest: int) -> int:
    """The least of 1, 2, 5, 10, 20, … of which four reach the highest bar."""
    step, factors = 1, (2.0, 2.5, 2.0)
    turn = 0
    while step * _TICKS < highest:
        step, turn = int(step * factors[turn % 3]), turn + 1
    return step


def _short(day: date, unit: str) -> str:
    return f"{day:%b %Y}" if unit == "month" else f"{day.day} {day:%b}"


def _round(value: float) -> float:
    return round(value, 2)
