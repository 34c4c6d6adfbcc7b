"""The version of Tidings that runs, for what is kept about it: the package's own, or else that of its source tree."""

import tomllib
from functools import cache
from importlib import metadata
from pathlib import Path

_PROJECT = Path(__file__).resolve().parents[1] / "pyproject.toml"


@cache
def version() -> str:
    """The version, such as `0.1.0`; a source tree is believed before an installed package, which may be an old one."""
    try:
        return str(tomllib.loads(_PROJECT.read_text())["project"]["version"])
    except (OSError, ValueError, KeyError):
        return _installed()


def _installed() -> str:
    try:
        return metadata.version("tidings")
    except metadata.PackageNotFoundError:
        return "unknown"
