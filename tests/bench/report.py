"""The table for people and the JSON for machines."""

import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from tests.bench.figures import TARGETS, Round, Target, medians

#: The rounds of each side, by database and side's name.
Results = Mapping[str, Mapping[str, Sequence[Round]]]


def table(results: Results) -> str:
    """One block per database: medians of both sides, ratio, target, whether it is met; then all that went wrong."""
    return "\n\n".join(_block(database, sides) for database, sides in results.items())


def as_json(results: Results, settings: Mapping[str, Any]) -> dict[str, Any]:
    """All rounds, medians and ratios."""
    return {
        "machine": {"system": platform.platform(), "python": platform.python_version()},
        "settings": dict(settings),
        "databases": {database: _database_as_json(sides) for database, sides in results.items()},
    }


def _database_as_json(sides: Mapping[str, Sequence[Round]]) -> dict[str, Any]:
    found: dict[str, Any] = {
        name: {"median": medians(rounds), "rounds": [asdict(one) for one in rounds]} for name, rounds in sides.items()
    }
    if ratios := _ratios(sides):
        found["ratios"] = {target.figure: _verdict(target, ratios[target.figure]) for target in TARGETS}
    return found


def _verdict(target: Target, ratio: float) -> dict[str, Any]:
    return {"ratio": ratio, "target": target.wanted, "met": target.met(ratio)}


def _ratios(sides: Mapping[str, Sequence[Round]]) -> dict[str, float]:
    if not sides.get("ours") or not sides.get("plain"):
        return {}
    ours, plain = medians(sides["ours"]), medians(sides["plain"])
    return {target.figure: ours[target.figure] / (plain[target.figure] or float("nan")) for target in TARGETS}


def _block(database: str, sides: Mapping[str, Sequence[Round]]) -> str:
    middle = {name: medians(rounds) for name, rounds in sides.items() if rounds}
    ratios = _ratios(sides)
    lines = [f"{database:<30}{'unit':>5}{'ours':>10}{'plain':>10}{'ratio':>9}{'target':>10}"]
    lines += [_line(target, middle, ratios) for target in TARGETS]
    for name, rounds in sides.items():
        taken = max((one.figures.disturbed for one in rounds), default=0.0)
        lines.append(f"{name}: {len(rounds)} round(s), others took up to {taken:.0%} of the machine")
        lines += [f"{name}, round {index}: WRONG: {what}" for index, one in enumerate(rounds, 1) for what in one.wrong]
    return "\n".join(lines)


def _line(target: Target, middle: Mapping[str, Mapping[str, float]], ratios: Mapping[str, float]) -> str:
    cells = [_cell(target, middle.get(name)) for name in ("ours", "plain")]
    line = f"{target.text:<30}{target.unit:>5}{cells[0]:>10}{cells[1]:>10}"
    if not ratios:
        return line
    met = target.met(ratios[target.figure])
    verdict = "" if met is None else ("  met" if met else "  MISSED")
    return f"{line}{ratios[target.figure]:>8.2f}x{target.wanted:>10}{verdict}".rstrip()


def _cell(target: Target, middle: Mapping[str, float] | None) -> str:
    if middle is None:
        return "-"
    value = middle[target.figure] * target.scale
    return f"{value:,.0f}" if value >= 100 else f"{value:,.1f}" if value >= 10 else f"{value:,.2f}"
