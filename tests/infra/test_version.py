"""The version that dead letters are marked with is that of the running source, wherever that came from."""

from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest

from infra import version as module
from infra.version import version


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    version.cache_clear()
    yield
    version.cache_clear()


def _absent(_: str) -> str:
    raise metadata.PackageNotFoundError


def test_a_source_tree_says_its_own() -> None:
    lines = (Path(__file__).resolve().parents[2] / "pyproject.toml").read_text().splitlines()
    assert f'version = "{version()}"' in lines


@pytest.mark.parametrize("content", [None, "[project]", "no toml", "[project]\nversion"], ids=str)
def test_without_a_source_tree_the_installed_package_says_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str | None
) -> None:
    file = tmp_path / "pyproject.toml"
    if content is not None:
        file.write_text(content)
    monkeypatch.setattr(module, "_PROJECT", file)
    monkeypatch.setattr(metadata, "version", lambda name: f"9.9 of {name}")
    assert "9.9 of tidings" == version()


def test_what_nobody_knows_is_unknown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PROJECT", tmp_path / "missing")
    monkeypatch.setattr(metadata, "version", _absent)
    assert "unknown" == version()
