"""Programs that people start to see something happen leave nothing behind, and what is needed to find out why not."""

from pathlib import Path

import pytest

from tests.staged import staged


class Servers:
    """They write down what happens to them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.happened: list[str] = []

    def start(self) -> None:
        self.happened.append("started")

    def stop(self) -> None:
        assert self.folder.is_dir()
        self.happened.append("stopped")


@pytest.fixture(autouse=True)
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is left is left in the test's own folder."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))


@pytest.mark.parametrize("keep", [False, True])
def test_what_was_started_is_stopped_and_its_folder_stays_only_if_it_is_to_be_kept(keep: bool) -> None:
    with staged(Servers, "test", keep=keep) as servers:
        assert ["started"] == servers.happened
    assert (["started", "stopped"], keep) == (servers.happened, servers.folder.exists())


def test_the_folder_of_what_went_wrong_stays_and_its_place_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(KeyboardInterrupt), staged(Servers, "test", keep=False) as servers:
        raise KeyboardInterrupt
    assert (["started", "stopped"], True) == (servers.happened, servers.folder.exists())
    assert str(servers.folder) in capsys.readouterr().err
