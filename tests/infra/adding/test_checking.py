"""`./tidings consumers check`: what is wrong with the code, told by name, and by the exit code."""

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from consumers import __main__ as program
from infra import commands
from infra.subscriptions import forget, recorded

Run = Callable[..., tuple[int, str, str]]
HEAD = "from events.users import UserRegistered\nfrom infra.subscriptions import Context, subscribe\n\n"
GOOD = (
    HEAD + "@subscribe('{name}', to=UserRegistered)\ndef handle(event: UserRegistered, context: Context) -> None: ...\n"
)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A package of consumers beside ours."""
    before = {each.consumer for each in recorded()}
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("TIDINGS_CONSUMER_PACKAGES", "checked")
    folder = tmp_path / "checked"
    folder.mkdir()
    (folder / "__init__.py").touch()
    yield folder
    for name in {each.consumer for each in recorded() if each.handler.__module__.startswith("checked.")} - before:
        forget(name)
    for module in [name for name in sys.modules if name.partition(".")[0] == "checked"]:
        del sys.modules[module]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a command line; gives its exit code, its output, and its errors."""

    def type_in(*words: str) -> tuple[int, str, str]:
        code = commands.code(program.app, "./tidings consumers", list(words))
        output, errors = capsys.readouterr()
        return code, output, errors

    return type_in


def test_our_own_consumers_have_no_problem(run: Run) -> None:
    code, output, errors = run("check")
    assert (0, "", True) == (code, errors, " consumers: 0 problems, " in output)
    assert "problem: " not in output


def test_each_problem_is_a_line_with_its_place_and_the_exit_code_is_1(run: Run, folder: Path) -> None:
    (folder / "broken.py").write_text("x = 1\nimport nothing_of_this_name")
    (folder / "again.py").write_text(GOOD.format(name="welcome-email"))
    (folder / "empty.py").write_text("x = 1")
    (folder / "few.py").write_text(GOOD.format(name="few").replace(", context: Context)", ")"))
    code, output, errors = run("check")
    assert (1, "") == (code, errors)
    for line in (
        "problem: checked.broken: checked/broken.py:2: ModuleNotFoundError: No module named 'nothing_of_this_name'",
        "problem: checked.again: checked/again.py:4: ConfigurationError: The name 'welcome-email' is taken by",
        "problem: checked.empty: it subscribes to nothing",
        "problem: few: its handler is called as handler(event, context), and cannot be: too many positional arguments",
    ):
        assert line in output
    assert ": 4 problems, " in output


def test_notes_need_nobody_to_do_anything(run: Run, folder: Path) -> None:
    (folder / "slow.py").write_text(GOOD.format(name="slow").replace("ed)\ndef", "ed, timeout=1800)\ndef"))
    code, output, _ = run("check")
    assert 0 == code
    assert "note: cleaning.ended: nobody listens to it beside activity-log, which takes every event" in output
    assert "note: slow: RabbitMQ takes a message back after 30 minutes" in output


def test_for_programs_it_is_one_document(run: Run, folder: Path) -> None:
    (folder / "empty.py").write_text("x = 1")
    code, output, _ = run("check", "--json")
    report = json.loads(output)
    assert (1, "problem", "checked.empty") == (code, report["findings"][0]["level"], report["findings"][0]["about"])
    assert "welcome-email" in report["consumers"]
