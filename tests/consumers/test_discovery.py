"""Consumers are found by themselves; one that cannot be loaded is named and does not stop the others."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import consumers
from infra.subscriptions import forget, recorded

GOOD = """
from events.users import UserRegistered
from infra.subscriptions import subscribe

@subscribe("found-by-itself", to=UserRegistered)
def handle(event, context):
    "Found."
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setattr(consumers, "__path__", [*consumers.__path__, str(tmp_path)])
    yield tmp_path
    forget("found-by-itself")
    for module in tmp_path.glob("*.py"):
        sys.modules.pop(f"consumers.{module.stem}", None)


def test_the_shipped_consumers_have_their_durable_names() -> None:
    """Renaming one would orphan its queue."""
    assert {} == consumers.discover().ignored
    assert {
        ("activity-log", ("#",)),
        ("daily-report", ("day.ended",)),
        ("health-alert", ("health.changed",)),
        ("health-check", ("minute.passed",)),
        ("cleaning", ("cleaning.requested",)),
        ("heartbeat", ("heartbeat.ticked",)),
        ("silence-alert", ("schedule.recovered", "schedule.stalled")),
        ("reminder-email", ("user.week.passed",)),
        ("reminders", ("hour.passed", "reminder.page.ended")),
        ("welcome-email", ("user.registered",)),
    } <= {(each.consumer, each.types) for each in recorded()}


def test_a_new_file_is_a_new_consumer(folder: Path) -> None:
    (folder / "sms.py").write_text(GOOD)
    found = consumers.discover()
    assert "consumers.sms" in found.modules
    assert "found-by-itself" in {each.consumer for each in recorded()}


def test_what_cannot_be_used_is_named_with_its_reason(folder: Path) -> None:
    (folder / "broken.py").write_text("import nothing_of_this_name")
    (folder / "typo.py").write_text("def (")
    (folder / "idle.py").write_text("x = 1")
    (folder / "sms.py").write_text(GOOD)
    found = consumers.discover()
    error = "broken.py:1: ModuleNotFoundError: No module named 'nothing_of_this_name'"
    assert found.ignored["consumers.broken"].endswith(error)
    assert "SyntaxError" in found.ignored["consumers.typo"]
    assert found.ignored["consumers.idle"].startswith("it subscribes to nothing")
    assert {"consumers.activity_log", "consumers.sms", "consumers.welcome_email"} <= set(found.modules)
