"""`up --reload`: a saved file is noticed, what Python writes itself is not."""

import asyncio
from pathlib import Path

import pytest

from infra.local.plan import PROGRAMS
from infra.local.reload import FOLDERS, changes, concerned


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for folder in FOLDERS:
        (tmp_path / folder).mkdir()
    (tmp_path / "consumers" / "welcome.py").write_text("1")
    return tmp_path


async def first_change(root: Path) -> list[str]:
    """The first change that is told."""
    async for paths in changes(root):
        return paths
    raise AssertionError


def test_what_was_changed_added_and_removed_is_told_at_once(root: Path) -> None:
    async def scenario() -> list[str]:
        watching = asyncio.create_task(first_change(root))
        await asyncio.sleep(0)
        (root / "consumers" / "__pycache__").mkdir()
        (root / "consumers" / "__pycache__" / "welcome.pyc").write_text("1")
        (root / "consumers" / ".sms.py.swp").write_text("1")
        (root / "consumers" / "sms.py~").write_text("1")
        (root / "consumers" / "welcome.py").unlink()
        (root / "gateway" / "new.py").write_text("1")
        return await asyncio.wait_for(watching, 10)

    assert asyncio.run(scenario()) == ["consumers/welcome.py", "gateway/new.py"]


@pytest.mark.parametrize(
    ("paths", "names"),
    [
        (["consumers/sms.py"], ["consumers"]),
        (["consumers/sms.py", "scheduler/timetable.py"], ["consumers", "scheduler"]),
        (["events/users.py"], list(PROGRAMS)),
        (["consumers/sms.py", "infra/mail.py"], list(PROGRAMS)),
    ],
)
def test_only_the_programs_that_use_a_file_start_anew(paths: list[str], names: list[str]) -> None:
    assert names == concerned(paths, PROGRAMS)


def test_a_program_restarts_for_templates_too(root: Path) -> None:
    async def scenario() -> list[str]:
        watching = asyncio.create_task(first_change(root))
        await asyncio.sleep(0)
        (root / "consumers" / "welcome.html").write_text("1")
        return await asyncio.wait_for(watching, 10)

    assert asyncio.run(scenario()) == ["consumers/welcome.html"]
