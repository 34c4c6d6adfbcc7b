"""The files of a report: a table for spreadsheets, JSON for programs, and a page for people."""

import csv
import json
from collections.abc import Iterator
from contextlib import contextmanager
from io import TextIOWrapper
from pathlib import Path
from typing import BinaryIO, TextIO

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from consumers.activity_report import charts
from consumers.activity_report.figures import Figures

#: With these a spreadsheet takes a cell for a formula (OWASP, "CSV Injection").
_FORMULAS = ("=", "+", "-", "@", "\t", "\r")
#: Types in the page; the files have all.
_TYPES = 200
_pages = Environment(
    loader=FileSystemLoader(Path(__file__).parent),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    auto_reload=False,
)


def write_csv(figures: Figures, file: BinaryIO) -> None:
    """A line for each day and type (RFC 4180), also where there were none."""
    with _text(file) as out:
        rows = csv.writer(out)
        rows.writerow(("day", "type", "events"))
        names = [_cell(name) for name in figures.types]
        for row in figures.rows:
            day = row.first.isoformat()
            rows.writerows((day, name, number) for name, number in zip(names, row.events, strict=True))


def write_json(figures: Figures, file: BinaryIO) -> None:
    """All of it, with the first and the last moment of each day."""
    with _text(file) as out:
        json.dump(figures.as_json(), out, ensure_ascii=False)


def write_page(figures: Figures, file: BinaryIO) -> None:
    """One page that needs nothing else: no script, no other file, readable by day, by night and on paper."""
    columns = figures.shown()
    text = _pages.get_template("page.html").render(
        figures=figures,
        chart=charts.stacked(figures),
        width=charts.WIDTH,
        height=charts.HEIGHT,
        columns=columns,
        periods=figures.periods(),
        most=max(figures.periods(), key=lambda each: each.total),
        lines=list(_lines(figures)),
        spark_width=charts.SPARK_WIDTH,
        spark_height=charts.SPARK_HEIGHT,
        left_out=max(0, len(figures.types) - _TYPES),
    )
    file.write(text.encode())


def _lines(figures: Figures) -> Iterator[dict[str, object]]:
    """Each type: its name, its number, and how it went."""
    periods, total = figures.periods(), figures.total or 1
    for at, (name, number) in enumerate(zip(figures.types, figures.totals, strict=True)):
        if at == _TYPES:
            return
        numbers = [each.events[at] for each in periods]
        most = max(range(len(numbers)), key=numbers.__getitem__)
        yield {
            "name": name,
            "number": number,
            "share": 100 * number / total,
            "points": charts.spark(numbers),
            "most": numbers[most],
            "when": periods[most].name if numbers[most] else "never",
        }


@contextmanager
def _text(file: BinaryIO) -> Iterator[TextIO]:
    """The file as text; it is not closed with it."""
    out = TextIOWrapper(file, encoding="utf-8", newline="")
    yield out
    out.flush()
    out.detach()


def _cell(text: str) -> str:
    return f"'{text}" if text.startswith(_FORMULAS) else text
