"""`./tidings consumers new`: two files or none, what comes next, and every way to ask for it wrongly."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import consumers
from consumers import __main__ as program
from infra import commands
from infra.adding import writing
from infra.adding.wishes import Unwise
from infra.settings import Settings
from tests import drafts
from tests.drafts import wish

Run = Callable[..., tuple[int, str, str]]
ON = ("--on", "user.registered")


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    consumers.discover(Settings())
    root = drafts.tree(tmp_path)
    monkeypatch.setattr(writing, "ROOT", root)
    return root


@pytest.fixture
def run(root: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a command line; gives its exit code, its output, and its errors."""

    def type_in(*words: str) -> tuple[int, str, str]:
        code = commands.code(program.app, "./tidings consumers", ["new", *words])
        output, errors = capsys.readouterr()
        return code, output, errors

    return type_in


def files(root: Path) -> set[str]:
    """What is there that was not copied."""
    ours = {path.name for path in (drafts.ROOT / "consumers").iterdir()}
    added = [path for path in (root / "consumers").iterdir() if path.name not in ours]
    return {str(path.relative_to(root)) for path in (*added, *(root / "tests" / "consumers").iterdir())}


def test_two_files_are_written_and_what_comes_next_is_told(run: Run, root: Path) -> None:
    code, output, errors = run("sms-alert", *ON)
    assert (0, "") == (code, errors)
    assert {"consumers/sms_alert.py", "tests/consumers/test_sms_alert.py"} == files(root)
    first, *others = output.splitlines()
    assert "Written: consumers/sms_alert.py and tests/consumers/test_sms_alert.py" == first
    told = "\n".join(others)
    for word in ("up --reload", "./tidings test tests/", "consumers show sms-alert", "consumers backfill sms-alert"):
        assert word in told
    mask = os.umask(0)
    os.umask(mask)
    assert {0o666 & ~mask} == {(root / file).stat().st_mode & 0o777 for file in files(root)}


def test_of_a_kind_of_jobs_it_tells_how_to_run_one(run: Run, root: Path) -> None:
    code, output, errors = run("sms-report", "--job")
    assert (0, "") == (code, errors)
    assert {"consumers/sms_report.py", "tests/consumers/test_sms_report.py"} == files(root)
    assert "./tidings jobs run sms-report steps=20 --wait" in output
    assert "backfill" not in output
    assert ["job.requested.sms"] == json.loads(run("sms", "--job", "--json")[1])["types"]


def test_a_dry_run_prints_the_files_and_writes_none(run: Run, root: Path) -> None:
    code, output, _ = run("sms", *ON, "--dry-run")
    assert (0, set()) == (code, files(root))
    assert "--- consumers/sms.py" in output
    assert '@subscribe("sms", to=UserRegistered)' in output
    assert "--- tests/consumers/test_sms.py" in output


def test_for_programs_it_is_one_document(run: Run) -> None:
    _, output, _ = run("sms", *ON, "--json")
    told = json.loads(output)
    assert ("sms", ["user.registered"], True) == (told["consumer"], told["types"], told["written"])
    assert ["consumers/sms.py", "tests/consumers/test_sms.py"] == list(told["files"])


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["sms", "--on", "user.regstered"], "No event has the type 'user.regstered': did you mean user.registered"),
        (["sms", "--on", "UserRegistered"], "did you mean user.registered or user.erased?"),
        (["sms", "--on", "qqqq"], "there are cleaning.ended, "),
        (["sms", "--on", "u" * 300], "No event has the type 'uuuuuuuu"),
        (["sms"], "Say which events it takes: --on user.registered"),
        (["sms", *ON, "--all"], "leave out --on, or --all"),
        (["sms", *ON, "--job"], "leave out --on and --all"),
        (["sms", "--job", "--batch"], "leave out --batch and --ordered, or --job"),
        (["sms", *ON, "--batch", "--ordered"], "leave out --batch or --ordered"),
        (["Sms", *ON], "'Sms' cannot name a consumer: use words of a-z and 0-9 joined by '-'"),
        (["sms_alert", *ON], "cannot name a consumer"),
        (["__init__", *ON], "cannot name a consumer"),
        (["../sms", *ON], "cannot name a consumer"),
        (["", *ON], "cannot name a consumer"),
        (["sms\n", *ON], "cannot name a consumer"),
        (["events", *ON], "it is a name of the bus itself"),
        (["dead-letters", *ON], "it is a name of the bus itself"),
        (["a" * 101, *ON], "has 100 characters at most"),
        (["class", *ON], "'class' is a word of Python itself"),
        (["import", *ON], "'import' is a word of Python itself"),
        (["welcome-email", *ON], "The name 'welcome-email' is taken by consumers.welcome_email"),
        (["templates", *ON], "consumers/templates is there already"),
    ],
)
def test_what_cannot_be_is_one_clear_line_and_code_2(run: Run, root: Path, words: list[str], error: str) -> None:
    code, output, errors = run(*words)
    assert (2, "", 1, set()) == (code, output, len(errors.splitlines()), files(root))
    assert error in errors


@pytest.mark.parametrize("taken", ["consumers/sms.py", "tests/consumers/test_sms.py"])
def test_a_file_that_is_there_is_never_written_over_and_its_fellow_not_written(
    run: Run, root: Path, taken: str
) -> None:
    (root / taken).write_text("mine")
    code, _, errors = run("sms", *ON)
    assert (2, f"tidings: {taken} is there already: take another name, or move it away.\n") == (code, errors)
    assert ({taken}, "mine") == (files(root), (root / taken).read_text())


def test_a_file_that_somebody_makes_meanwhile_stays_and_the_other_is_taken_back(root: Path) -> None:
    texts = writing.files(wish("sms", "user.registered"), root)
    (root / "consumers" / "sms.py").write_text("mine")
    with pytest.raises(Unwise, match="is there already"):
        writing.write(texts)
    assert ({"consumers/sms.py"}, "mine") == (files(root), (root / "consumers" / "sms.py").read_text())


def test_a_folder_that_cannot_be_written_leaves_nothing(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = writing.files(wish("sms", "user.registered"), root)
    real = Path.write_text

    def refuse(path: Path, *args: Any, **options: Any) -> int:
        if path.parent == root / "consumers":
            raise PermissionError(13, "Permission denied")
        return real(path, *args, **options)

    monkeypatch.setattr(Path, "write_text", refuse)  # root may write everywhere, so a real refusal cannot be made
    with pytest.raises(Unwise, match=r"consumers cannot be written: Permission denied\."):
        writing.write(texts)
    assert set() == files(root)


def test_without_a_source_tree_it_says_so(tmp_path: Path) -> None:
    with pytest.raises(Unwise, match="run this in the source tree of the project"):
        writing.files(wish("sms"), tmp_path)
