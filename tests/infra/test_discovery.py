"""Further packages of consumers: found like our own, and what is wrong with one of them stops nobody else."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from consumers import discover as discover_all
from infra.discovery import discover
from infra.settings import Settings
from infra.subscriptions import forget, recorded

GOOD = """
from events.users import UserRegistered
from infra.subscriptions import subscribe

@subscribe("{name}", to=UserRegistered)
def handle(event, context):
    "Found."
"""
NAMES = ("further-one", "further-two", "half-loaded")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An importable package `further`, empty so far."""
    monkeypatch.syspath_prepend(tmp_path)
    folder = tmp_path / "further"
    folder.mkdir()
    (folder / "__init__.py").touch()
    yield folder
    for name in NAMES:
        forget(name)
    for module in [name for name in sys.modules if name.partition(".")[0] in {"further", "others", "failing_package"}]:
        del sys.modules[module]


def names() -> set[str]:
    return {each.consumer for each in recorded()} & set(NAMES)


def test_each_module_of_a_package_is_a_consumer(folder: Path) -> None:
    (folder / "one.py").write_text(GOOD.format(name="further-one"))
    (folder / "two").mkdir()
    (folder / "two" / "__init__.py").write_text(GOOD.format(name="further-two"))
    (folder / "_shared.py").write_text("raise RuntimeError('not to be imported')")
    found = discover(["further"])
    assert (["further.one", "further.two"], {}) == (found.modules, found.ignored)
    assert {"further-one", "further-two"} == names()


def test_the_setting_names_packages_beside_our_own(folder: Path) -> None:
    (folder / "one.py").write_text(GOOD.format(name="further-one"))
    found = discover_all(Settings(consumer_packages=" further , "))
    assert {"consumers.welcome_email", "further.one"} <= set(found.modules)


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("import nothing_of_this_name", "ModuleNotFoundError"),
        ("def (", "SyntaxError"),
        ("raise SystemExit(3)", "SystemExit"),
        ("x = 1", "it subscribes to nothing"),
        (GOOD.format(name="activity-log"), "ConfigurationError: The name 'activity-log' is taken"),
    ],
)
def test_a_module_that_is_of_no_use_is_named_and_the_next_one_found(folder: Path, code: str, reason: str) -> None:
    discover_all(Settings())
    (folder / "a_bad_one.py").write_text(code)
    (folder / "one.py").write_text(GOOD.format(name="further-one"))
    found = discover(["further"])
    assert found.ignored["further.a_bad_one"].startswith(reason)
    assert ["further.one"] == found.modules


def test_a_module_that_fails_after_it_subscribed_is_given_no_event(folder: Path) -> None:
    """Its handler may need what the rest of the module was about to make."""
    (folder / "half.py").write_text(GOOD.format(name="half-loaded") + "\nraise RuntimeError('half')")
    found = discover(["further"])
    assert (set[str](), "RuntimeError: half") == (names(), found.ignored["further.half"])


@pytest.mark.parametrize(
    ("package", "reason"),
    [
        ("nowhere", "ModuleNotFoundError"),
        ("json.decoder", "AttributeError"),
        ("..", "TypeError"),
        ("failing_package", "RuntimeError"),
    ],
)
def test_a_package_that_cannot_be_looked_through_is_named(folder: Path, package: str, reason: str) -> None:
    (folder.parent / "failing_package.py").write_text("raise RuntimeError('x')")
    (folder / "one.py").write_text(GOOD.format(name="further-one"))
    found = discover([package, "further"])
    assert found.ignored[package].startswith(reason)
    assert ["further.one"] == found.modules
