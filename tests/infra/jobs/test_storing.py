"""The store of results: whole files or none, for their owner only, at places that nobody can choose."""

import io
import os
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest

from infra.errors import ConfigurationError, NotStored
from infra.jobs import storing
from infra.jobs.storing import Folder, WithSmall
from infra.settings import Settings, load

DAY = timedelta(days=1)


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path / "deep" / "results")


def kept(folder: Folder, content: bytes = b"hello") -> str:
    key = storing.new_key(str(uuid4()))
    with folder.put(key) as file:
        file.write(content)
    return key


def everything(folder: Folder) -> list[Path]:
    return [path for path in folder.folder.rglob("*") if path.is_file()]


def test_what_was_put_is_there_for_its_owner_only(folder: Folder) -> None:
    key = kept(folder)
    with folder.open(key) as file:
        assert b"hello" == file.read()
    (path,) = everything(folder)
    assert [0o600, 0o700, 0o700] == [one.stat().st_mode & 0o777 for one in (path, path.parent, folder.folder)]


def test_a_small_file_is_in_its_key_and_no_two_files_have_the_same(folder: Folder) -> None:
    job = str(uuid4())
    one, other = (storing.key_with(job, b"\x00hello") for _ in range(2))
    assert one != other
    assert job == storing.job_of(one)
    store = WithSmall(folder)
    store.remove(one)
    with store.open(one) as file:
        assert b"\x00hello" == file.read()
    assert [] == everything(folder)
    with pytest.raises(ValueError, match="no key"):
        folder.open(one)


def test_nothing_is_there_before_the_block_ends_nor_after_one_that_fails(folder: Folder) -> None:
    key = storing.new_key(str(uuid4()))
    with pytest.raises(RuntimeError), folder.put(key) as file:  # noqa: PT012  # what is there meanwhile is the point
        file.write(b"half")
        with pytest.raises(NotStored):
            folder.open(key)
        raise RuntimeError
    assert [] == everything(folder)


def test_it_is_safe_on_disk_before_it_is_there_and_its_place_after(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept(folder)
    done: list[str] = []
    sync, rename = os.fsync, Path.rename
    where = {True: "folder", False: "file"}

    def synced(opened: int) -> None:
        done.append(where[stat.S_ISDIR(os.fstat(opened).st_mode)])
        sync(opened)

    def renamed(path: Path, to: Path) -> Path:
        done.append("renamed")
        return rename(path, to)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(Path, "rename", renamed)
    kept(folder)
    assert ["file", "renamed", "folder"] == done


def test_a_file_that_is_open_is_read_to_its_end_when_it_is_removed(folder: Folder) -> None:
    key = kept(folder)
    with folder.open(key) as file:
        folder.remove(key)
        folder.remove(key)
        assert b"hello" == file.read()
    with pytest.raises(NotStored, match="TIDINGS_RESULTS_URL"):
        folder.open(key)


@pytest.mark.parametrize(
    "key",
    [
        "../../etc/passwd",
        "/etc/passwd",
        "2026-11-26/../../secret",
        f"2026-11-26/{uuid4()}-0123456789abcdef/../x",
        f"2026-11-26/{uuid4()}-0123456789abcdef\n",
        f"..-11-26/{uuid4()}-0123456789abcdef",
        "",
    ],
    ids=["up", "absolute", "out of a day", "below a file", "with a line end", "of no day", "empty"],
)
def test_a_key_that_was_not_made_here_opens_nothing(folder: Folder, key: str) -> None:
    for deed in (folder.open, folder.remove, lambda key: folder.put(key).__enter__()):
        with pytest.raises(ValueError, match="no key"):
            deed(key)


def test_a_key_names_its_job(folder: Folder) -> None:
    job = str(uuid4())
    assert job == storing.job_of(storing.new_key(job))


def test_old_files_and_drafts_of_the_dead_are_listed_and_empty_days_go(folder: Folder) -> None:
    old, young = kept(folder), kept(folder)
    draft = folder.folder / f"{old}.part"
    draft.touch()
    (folder.folder / "2020-01-01").mkdir()
    (folder.folder / "somebody-elses").touch()
    before = datetime.now(UTC) - DAY
    for path in (folder.folder / old, draft):
        os.utime(path, (0, 0))
    tomorrow = (before + 2 * DAY).timestamp()
    os.utime(folder.folder / young, (tomorrow, tomorrow))
    empty = folder.folder / "2020-01-01"
    assert ([], False) == ([*folder.keys(before)], empty.exists())  # of a day that is not over
    assert sorted([old, f"{old}.part"]) == [*folder.keys(before + DAY)]


def test_a_store_that_nobody_has_used_yet_lists_nothing(folder: Folder) -> None:
    assert [] == [*folder.keys(datetime.now(UTC))]


def test_a_file_is_copied_into_the_store(folder: Folder, tmp_path: Path) -> None:
    (made := tmp_path / "made").write_bytes(b"much")
    into = io.BytesIO()
    storing.copy(made, into)
    assert (b"much", True) == (into.getvalue(), made.exists())


def test_results_lie_in_the_state_folder_or_where_the_setting_says(tmp_path: Path) -> None:
    key = storing.new_key(str(uuid4()))
    for settings, folder in (
        (Settings(state_dir=tmp_path / "a b"), tmp_path / "a b" / "results"),
        (Settings(results_url=f"file://{tmp_path}/r%20s"), tmp_path / "r s"),
    ):
        with storing.store(settings.results).put(key):
            pass
        assert (folder / key).is_file()


@pytest.mark.parametrize("url", ["s3://bucket/results", "file://host/folder", "/srv/results", "file:", "file:///x?y"])
def test_another_store_is_refused_in_one_line(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("TIDINGS_RESULTS_URL", url)
    with pytest.raises(ConfigurationError, match=r"^TIDINGS_RESULTS_URL: only a folder .* file:///folder\.$"):
        load()
    if not url.endswith("?y"):
        with pytest.raises(ConfigurationError, match=r"^TIDINGS_RESULTS_URL: use file:///folder; "):
            storing.store(url)
