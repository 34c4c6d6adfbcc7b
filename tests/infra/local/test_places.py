"""The state folder holds mails, names and passwords: nobody but its owner may look into it."""

from pathlib import Path

from infra.local.places import Places
from infra.settings import keep_private


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_a_new_folder_and_its_lock_are_private(tmp_path: Path) -> None:
    places = Places(tmp_path / "state").make()
    assert (0o700, 0o600) == (mode(places.folder), mode(places.lock))


def test_a_folder_of_ours_that_others_may_enter_is_mended(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    folder.mkdir()
    folder.chmod(0o755)
    (folder / "tidings.db-wal").touch()
    Places(folder).make()
    assert 0o700 == mode(folder)


def test_a_folder_that_holds_what_is_not_ours_is_left_as_it_is(tmp_path: Path) -> None:
    """Somebody may well point TIDINGS_STATE_DIR at a folder that others need to enter."""
    folder = tmp_path / "shared"
    folder.mkdir()
    folder.chmod(0o755)
    (folder / "somebody-elses").touch()
    Places(folder).make()
    assert 0o755 == mode(folder)


def test_the_folder_made_for_the_operators_token_is_private(tmp_path: Path) -> None:
    keep_private(tmp_path / "state" / "operator-token", "secret")
    assert 0o700 == mode(tmp_path / "state")
