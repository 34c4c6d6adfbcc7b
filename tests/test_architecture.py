"""The shape of the tree: who may import whom, and the habits that keep it readable."""

import ast
import re
import subprocess
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest
from importlinter.cli import EXIT_STATUS_SUCCESS, lint_imports

ROOT = Path(__file__).resolve().parents[1]
OURS = ("events", "infra", "gateway", "consumers", "scheduler")
#: Lines.
LONGEST_FILE, LONGEST_TEST_FILE, LONGEST_FUNCTION = 250, 400, 45
#: The only files that may end a transaction, with why.
COMMITS = {"infra/database/engine.py", "infra/database/session.py", "infra/database/group_commit.py"}


@cache
def sources() -> dict[str, str]:
    """Every Python file that git knows or would take, by its path from the root."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.py"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout.split()  # fmt: skip
    return {name: (ROOT / name).read_text() for name in listed if (ROOT / name).exists()}


def functions(text: str) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def lines(pattern: str, chosen: Callable[[str], bool] = lambda name: True) -> list[str]:
    wanted = re.compile(pattern)
    return [
        f"{name}:{number}"
        for name, text in sources().items()
        for number, line in enumerate(text.splitlines(), 1)
        if chosen(name) and name != "tests/test_architecture.py" and wanted.search(line)
    ]


def ours(name: str) -> bool:
    return name.startswith(OURS)


def test_every_file_keeps_to_its_layer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    assert lint_imports(no_cache=True) == EXIT_STATUS_SUCCESS


def test_no_file_is_too_long_to_be_about_one_thing() -> None:
    long = {
        name: text.count("\n")
        for name, text in sources().items()
        if text.count("\n") > (LONGEST_TEST_FILE if name.startswith("tests/") else LONGEST_FILE)
    }
    assert long == {}


def test_no_function_is_too_long_to_be_read_at_once() -> None:
    assert [] == [
        f"{name}:{node.lineno} {node.name}"
        for name, text in sources().items()
        for node in functions(text)
        if (node.end_lineno or 0) - node.lineno > LONGEST_FUNCTION
    ]


def test_nothing_is_imported_inside_a_function() -> None:
    assert [] == [
        f"{name}:{node.lineno}"
        for name, text in sources().items()
        if ours(name)
        for node in functions(text)
        if any(isinstance(inner, ast.Import | ast.ImportFrom) for inner in ast.walk(node))
    ]


def test_every_module_says_what_it_is_for() -> None:
    silent = [name for name, text in sources().items() if text.strip() and ast.get_docstring(ast.parse(text)) is None]
    assert silent == []


def test_every_public_function_says_what_it_is_for() -> None:
    assert [] == [
        f"{name}:{node.lineno} {node.name}"
        for name, text in sources().items()
        if ours(name)
        for node in ast.iter_child_nodes(ast.parse(text))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        and not node.name.startswith("_")
        and ast.get_docstring(node) is None
    ]


def test_only_the_engine_commits() -> None:
    assert [] == lines(r"\.commit\(", lambda name: ours(name) and name not in COMMITS)


def test_only_the_settings_read_the_environment() -> None:
    assert [] == lines(r"os\.(environ|getenv)\b", lambda name: ours(name) and name != "infra/settings.py")


def test_only_the_relay_publishes_events() -> None:
    """Whoever else wants an event on the bus adds a row to the outbox."""
    relays = ("infra/relaying/", "infra/rabbitmq/", "infra/testing/relaying.py")  # the last one has no bus
    assert [] == lines(r"\bevent_message\(", lambda name: ours(name) and not name.startswith(relays))


def test_nothing_is_left_for_later() -> None:
    assert [] == lines(r"\b(TODO|FIXME|XXX)\b")


def test_no_test_is_left_out() -> None:
    assert [] == lines(
        r"pytest\.(skip|importorskip)\(|mark\.(skip|skipif|xfail)\b", lambda name: name.startswith("tests/")
    )


def test_no_host_of_a_registry_is_written_down() -> None:
    locks = [ROOT / name for name in ("requirements.lock", "requirements-dev.lock", "pyproject.toml", "tidings")]
    hosts = re.compile(r"https?://(?!127\.0\.0\.1|localhost)|--(extra-)?index-url|--find-links")
    assert [] == [path.name for path in locks if hosts.search(path.read_text())]
