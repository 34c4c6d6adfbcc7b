"""The page of the activity report in a browser: its charts, by day, by night and on paper, with hostile names."""

import re
from base64 import b64encode
from datetime import UTC, date, datetime, timedelta
from io import BytesIO
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from markupsafe import escape
from playwright.sync_api import Browser, Page, expect

from consumers.activity_report import charts
from consumers.activity_report.asking import Days
from consumers.activity_report.counting import Counts
from consumers.activity_report.figures import Figures, figures_of
from consumers.activity_report.writing import write_page
from tests.browser import colours_of, contrast, luminance, visit

HOSTILE = "</title><script>alert(1)</script><img src=http://x.example/ onerror=alert(1)>\"'{{ 7 * 7 }}"


def figures(days: int = 30, types: int = 12, *extra: str) -> Figures:
    """Some days, on each of which there is a little more of everything."""
    names = [f"thing{number}.done" for number in range(types)] + list(extra)
    until = date(2026, 1, 1) + timedelta(days=days)
    counts = Counts(Days(date(2026, 1, 1), until, "Europe/Berlin"), datetime(2030, 1, 1, tzinfo=UTC), names)
    counts.rows = [[10 * day + number for number in range(len(names))] for day in range(days)]
    return figures_of(counts, None)


def page(of: Figures) -> str:
    out = BytesIO()
    write_page(of, out)
    return out.getvalue().decode()


@pytest.fixture
def opened(browser: Browser, tmp_path: Path) -> Page:
    """A page with a name that means harm, as a file; it asked nobody for anything and had no error."""
    return show(browser, tmp_path, page(figures(30, 12, HOSTILE)))


def show(browser: Browser, folder: Path, text: str, **options: Any) -> Page:
    (folder / "report.html").write_text(text)
    seen = visit(browser, folder.as_uri(), f"{folder.as_uri()}/report.html", **options)
    assert ([], []) == (seen.elsewhere, seen.errors)
    return seen.page


def heights(page: Page) -> list[float]:
    found: list[float] = page.locator("svg.chart rect").evaluate_all(
        "all => all.map(each => each.getBoundingClientRect().height)"
    )
    return found


def test_there_is_a_bar_for_each_day_and_a_colour_for_each_type(opened: Page) -> None:
    drawn = heights(opened)
    assert 30 * 9 == len(drawn)
    assert min(drawn) > 0
    legend = opened.locator(".legend li").all_text_contents()
    assert (9, "thing11.done", "all others") == (len(legend), legend[1], legend[-1])
    assert 13 == opened.locator(".spark polyline").count()
    assert 30 == opened.locator("table").nth(1).locator("tbody tr").count()


def test_hostile_names_are_shown_and_nothing_else(opened: Page) -> None:
    expect(opened.get_by_role("rowheader", name=HOSTILE)).to_have_text(HOSTILE)
    assert 0 == opened.locator("script, img").count()


def test_who_cannot_see_the_charts_is_told_what_they_show(opened: Page) -> None:
    chart = opened.get_by_role("img", name="Events by day and type, 1 Jan 2026 to 30 Jan 2026")
    expect(chart.locator("desc")).to_contain_text("the most were 3,848 on 30 Jan 2026")
    ids = opened.locator("[id]").evaluate_all("all => all.map(each => each.id)")
    named = opened.locator("[aria-labelledby]").evaluate_all(
        "all => all.flatMap(each => each.getAttribute('aria-labelledby').split(' '))"
    )
    assert len(ids) == len(set(ids))
    assert set(named) <= set(ids)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_and_colours_stand_out_by_day_and_by_night(browser: Browser, tmp_path: Path, scheme: str) -> None:
    shown = show(browser, tmp_path, page(figures()), color_scheme=scheme)
    ink, paper = colours_of(shown, "body")
    quiet, _ = colours_of(shown, "p.quiet")
    fills = shown.locator(".legend rect").evaluate_all(
        "all => all.map(each => getComputedStyle(each).fill.match(/[0-9.]+/g).map(Number))"
    )
    assert 9 == len(fills) == len({tuple(fill) for fill in fills})
    assert min(contrast(ink, paper), contrast(quiet, paper)) >= 4.5
    assert min(contrast(fill, paper) for fill in fills) >= 3
    assert (scheme == "dark") == (luminance(ink) > luminance(paper))


def test_on_paper_it_is_light_and_complete(browser: Browser, tmp_path: Path) -> None:
    shown = show(browser, tmp_path, page(figures()), color_scheme="dark")
    shown.emulate_media(media="print")
    assert [255.0] * 3 == colours_of(shown, "body")[1][:3]
    assert shown.pdf().startswith(b"%PDF")


def test_a_narrow_screen_need_not_be_scrolled_sideways(browser: Browser, tmp_path: Path) -> None:
    shown = show(browser, tmp_path, page(figures(30, 12, "x" * 500)), viewport={"width": 320, "height": 700})
    assert 320 == shown.evaluate("document.documentElement.scrollWidth")


def test_the_picture_has_something_in_it(opened: Page) -> None:
    """Blue, orange and green are to be found in what Chromium paints of the chart."""
    found = opened.evaluate(_PAINTED, b64encode(opened.locator("svg.chart").screenshot()).decode())
    assert {"36,87,166", "194,65,12", "21,128,61"} <= set(found)


#: The colours of a picture that more than a hundred of its points have.
_PAINTED = """async (picture) => {
  const bytes = Uint8Array.from(atob(picture), (each) => each.charCodeAt(0));
  const image = await createImageBitmap(new Blob([bytes], {type: "image/png"}));
  const context = new OffscreenCanvas(image.width, image.height).getContext("2d");
  context.drawImage(image, 0, 0);
  const points = context.getImageData(0, 0, image.width, image.height).data;
  const times = {};
  for (let at = 0; at < points.length; at += 4) {
    const colour = points.slice(at, at + 3).join(",");
    times[colour] = (times[colour] ?? 0) + 1;
  }
  return Object.keys(times).filter((each) => times[each] > 100);
}"""


@pytest.mark.parametrize(("days", "unit", "bars"), [(100, "day", 100), (101, "week", 15), (3_653, "month", 121)])
def test_many_days_are_put_together(days: int, unit: str, bars: int) -> None:
    made = figures(days, 2)
    assert (unit, bars) == (made.unit, len(made.periods()))
    assert made.total == sum(each.total for each in made.periods())
    assert bars == len(charts.stacked(made).bars)


def test_the_bars_fill_the_chart_and_do_not_leave_it() -> None:
    chart = charts.stacked(figures(30, 12))
    bars = chart.bars
    assert all(left.x + left.width < right.x for left, right in pairwise(bars))
    assert chart.left < bars[0].x
    assert bars[-1].x + bars[-1].width < chart.right
    for bar in bars:
        assert all(abs(upper.y + upper.height - lower.y) < 0.05 for lower, upper in pairwise(bar.segments))
        assert abs(bar.segments[0].y + bar.segments[0].height - chart.bottom) < 0.05
    assert min(part.y for bar in bars for part in bar.segments) < charts.HEIGHT / 2


def test_a_report_of_nothing_says_so() -> None:
    text = page(figures(3, 0))
    assert "Nothing happened." in text
    assert "<svg" not in text


def test_the_page_is_whole_in_itself() -> None:
    text = page(figures(30, 12, HOSTILE))
    assert [] == re.findall(r"<script|<link|@import|url\(|<img|<iframe", text)
    assert [] == re.findall(r"(?:src|href)\s*=", text.replace(escape(HOSTILE), ""))
    assert 0 < len(text) < 200_000
