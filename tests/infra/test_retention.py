"""How long rows are kept: read from the environment, and refused in one line where the rules do not hold together."""

from datetime import UTC, datetime, timedelta

import pytest

from infra.errors import ConfigurationError
from infra.retention import FOREVER, read, since, write
from infra.settings import load

DAY = timedelta(days=1)


@pytest.mark.parametrize(
    ("text", "duration"),
    [
        ("1h", DAY / 24),
        ("36h", 1.5 * DAY),
        ("30d", 30 * DAY),
        ("52w", 364 * DAY),
        ("36500d", 36_500 * DAY),
        ("0", FOREVER),
    ],
)
def test_a_duration_is_read_as_people_write_it(text: str, duration: timedelta) -> None:
    assert duration == read(text) == read(write(duration))


def test_every_moment_that_a_duration_leads_back_to_is_in_the_calendar() -> None:
    assert since(datetime.now(UTC), read("36500d")) is not None
    assert since(datetime.now(UTC), FOREVER) is None


@pytest.mark.parametrize(
    "text",
    [
        "0d",
        "0h",
        "-1d",
        "1",
        "30",
        "d",
        "1.5d",
        "30 d",
        "30D",
        "1m",
        "60s",
        "36501d",
        "999999w",
        "9999999d",
        "ever",
        "٣d",
    ],
)
@pytest.mark.parametrize(
    "name", ["EVENT_LOG", "INBOX", "DEAD_LETTERS", "ACTIVITY", "SCHEDULE_RUNS", "AUDIT", "RESULTS", "JOBS"]
)
def test_what_is_no_duration_is_refused_by_its_variable(monkeypatch: pytest.MonkeyPatch, name: str, text: str) -> None:
    monkeypatch.setenv(f"TIDINGS_KEEP_{name}", text)
    with pytest.raises(ConfigurationError, match=f"^TIDINGS_KEEP_{name}: use hours, days or weeks, as in .*$"):
        load()


def test_what_goes_with_the_event_log_outlives_it_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    assert (90 * DAY, 100 * DAY, 90 * DAY) == _related()
    monkeypatch.setenv("TIDINGS_KEEP_EVENT_LOG", "200d")
    assert (200 * DAY, 210 * DAY, 200 * DAY) == _related()
    monkeypatch.setenv("TIDINGS_KEEP_EVENT_LOG", "0")
    assert (FOREVER, FOREVER, FOREVER) == _related()
    monkeypatch.setenv("TIDINGS_KEEP_EVENT_LOG", "")
    assert (90 * DAY, 100 * DAY, 90 * DAY) == _related()


@pytest.mark.parametrize(
    ("log", "name", "value"),
    [
        ("30d", "INBOX", "30d"),
        ("30d", "INBOX", "743h"),
        ("30d", "DEAD_LETTERS", "29d"),
        ("0", "INBOX", "36500d"),
        ("0", "DEAD_LETTERS", "36500d"),
        (None, "INBOX", "1h"),
    ],
)
def test_what_the_log_needs_cannot_be_kept_shorter(
    monkeypatch: pytest.MonkeyPatch, log: str | None, name: str, value: str
) -> None:
    if log is not None:
        monkeypatch.setenv("TIDINGS_KEEP_EVENT_LOG", log)
    monkeypatch.setenv(f"TIDINGS_KEEP_{name}", value)
    with pytest.raises(ConfigurationError, match=f"^TIDINGS_KEEP_{name}: it must be .* TIDINGS_KEEP_EVENT_LOG .*$"):
        load()


def test_what_the_log_needs_may_be_kept_just_as_long_as_it_must(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("EVENT_LOG", "30d"), ("INBOX", "31d"), ("DEAD_LETTERS", "30d")):
        monkeypatch.setenv(f"TIDINGS_KEEP_{name}", value)
    assert (30 * DAY, 31 * DAY, 30 * DAY) == _related()
    monkeypatch.setenv("TIDINGS_KEEP_INBOX", "0")
    monkeypatch.setenv("TIDINGS_KEEP_DEAD_LETTERS", "0")
    assert (30 * DAY, FOREVER, FOREVER) == _related()


def test_a_wrong_duration_of_the_log_is_the_only_one_that_is_complained_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIDINGS_KEEP_EVENT_LOG", "soon")
    monkeypatch.setenv("TIDINGS_KEEP_INBOX", "30d")
    with pytest.raises(ConfigurationError, match="TIDINGS_KEEP_EVENT_LOG"):
        load()


def _related() -> tuple[timedelta, timedelta, timedelta]:
    kept = load().retention
    return kept.event_log, kept.inbox, kept.dead_letters
