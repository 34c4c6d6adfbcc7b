"""What `consumers new` writes passes ruff, mypy and its own tests as it is, for every event type and every option."""

from pathlib import Path

import pytest

from events.envelope import event_types
from infra.adding.wishes import Wish
from tests import drafts
from tests.drafts import ROOT, wish

SETTINGS = str(ROOT / "pyproject.toml")


def ours() -> list[str]:
    """The types of the folder `events`: other tests of this process make some of their own."""
    return [name for name, cls in event_types().items() if cls.__module__.startswith("events.")]


def wishes() -> list[Wish]:
    of_each = [wish(f"of-{name.replace('.', '-')}", name) for name in ours()]
    many = [wish("of-many", *ours()), wish("of-two", "user.registered", "day.ended")]
    options = [
        wish("async-one", "user.registered", is_async=True),
        wish("batch-one", "user.registered", is_batch=True),
        wish("batch-async", *ours(), is_batch=True, is_async=True),
        wish("ordered-one", "user.registered", is_ordered=True),
        wish("all-one"),
        wish("all-batch", is_batch=True),
        wish("all-async", is_async=True, is_ordered=True),
        wish("a" * 100, *ours(), is_ordered=True),
        drafts.kind("job-one"),
        drafts.kind("job-async", is_async=True),
        drafts.kind("j" * 100),
    ]
    return [*of_each, *many, *options]


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    root = drafts.tree(tmp_path_factory.mktemp("tree"))
    return root, drafts.write(root, *wishes())


def test_it_is_laid_out_as_ruff_has_it_and_ruff_finds_nothing(written: tuple[Path, list[str]]) -> None:
    root, files = written
    assert "" == drafts.said(root, "ruff", "format", "--no-cache", "--config", SETTINGS, "--diff", *files)
    assert "" == drafts.said(root, "ruff", "check", "--no-cache", "--config", SETTINGS, *files)


@pytest.mark.timeout(300)  # mypy has read nothing of ours before, which keeps a core busy for a quarter of a minute
def test_its_types_are_right(written: tuple[Path, list[str]]) -> None:
    root, files = written
    assert "" == drafts.said(root, "mypy", "--config-file", SETTINGS, *files)


def test_its_tests_pass(written: tuple[Path, list[str]]) -> None:
    root, _ = written
    (root / "conftest.py").write_text('pytest_plugins = ["infra.testing.plugin"]\n')
    own = ["-c", SETTINGS, "--rootdir", str(root), "-o", f"pythonpath={root}", "-p", "no:cacheprovider", "-q"]
    assert "" == drafts.said(root, "pytest", *own, "tests/consumers")
