"""Further packages of consumers: found like our own, and what is wrong with one of them stops nobody else."""

import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from consumers import discover as discover_all
from infra import discovery
from infra.discovery import discover, module_of
from infra.settings import Settings
from infra.subscriptions import forget, recorded
from tests.waiting import until

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
        ("import nothing_of_this_name", "further/a_bad_one.py:1: ModuleNotFoundError: No module named 'nothing_"),
        ("x = 1\ndef (", "further/a_bad_one.py:2: SyntaxError: invalid syntax"),
        ("from events.users import UserLeft", "further/a_bad_one.py:1: ImportError: cannot import name 'UserLeft'"),
        ("raise SystemExit(3)", "further/a_bad_one.py:1: SystemExit: 3"),
        ("import sys\nsys.exit()", "further/a_bad_one.py:2: SystemExit"),
        ("raise GeneratorExit", "further/a_bad_one.py:1: GeneratorExit"),
        ("class Odd(BaseException): pass\nraise Odd('x')", "further/a_bad_one.py:2: Odd: x"),
        ("class Odd(Exception):\n    def __str__(self): 1 / 0\nraise Odd", "further/a_bad_one.py:3: Odd"),
        ("def f():\n    raise OSError('a\\nb')\nf()", "further/a_bad_one.py:2: OSError: a b"),
        ("import json\njson.loads('{')", "further/a_bad_one.py:2: JSONDecodeError: "),
        ("x = 1", "it subscribes to nothing"),
        (
            GOOD.format(name="activity-log"),
            "further/a_bad_one.py:5: ConfigurationError: The name 'activity-log' is taken by consumers.activity_log.",
        ),
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
    assert (set[str](), "further/half.py:9: RuntimeError: half") == (names(), found.ignored["further.half"])


def test_a_neighbour_that_fails_when_another_imports_it_is_told_by_its_own_reason(folder: Path) -> None:
    """It is tried twice then, and must not find its name taken by itself."""
    (folder / "one.py").write_text("from further.two import handle")
    (folder / "two.py").write_text(GOOD.format(name="further-two") + "\nraise RuntimeError('two')")
    found = discover(["further"])
    assert {
        "further.one": "further/two.py:9: RuntimeError: two",
        "further.two": "further/two.py:9: RuntimeError: two",
    } == found.ignored
    assert set() == names()


def test_a_handler_that_was_written_elsewhere_belongs_to_the_module_that_subscribes_it(folder: Path) -> None:
    (folder.parent / "others.py").write_text("def handle(event, context):\n    'Elsewhere.'")
    (folder / "one.py").write_text(
        "from others import handle\nfrom events.users import UserRegistered\n"
        "from infra.subscriptions import subscribe\nsubscribe('further-one', to=UserRegistered)(handle)"
    )
    assert [["further.one"]] * 2 == [discover(["further"]).modules for _ in range(2)]
    (subscription,) = [each for each in recorded() if each.consumer == "further-one"]
    assert "further.one" == module_of(subscription)


def test_ctrl_c_during_an_import_stays_one(folder: Path) -> None:
    (folder / "one.py").write_text("raise KeyboardInterrupt")
    with pytest.raises(KeyboardInterrupt):
        discover(["further"])


def test_an_import_that_takes_long_is_named_while_it_does_and_afterwards(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(discovery, "SLOW", 0.05)
    monkeypatch.setitem(sys.modules, "gate", SimpleNamespace(wait=lambda: until(lambda: caplog.messages, what="line")))
    (folder / "one.py").write_text("import gate\ngate.wait()\n" + GOOD.format(name="further-one"))
    found = discover(["further"])
    assert (["further.one"], ["further.one"]) == (found.modules, list(found.slow))
    assert ["the import of further.one takes long, and all others wait for it"] == caplog.messages


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
