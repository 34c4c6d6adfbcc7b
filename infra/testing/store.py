"""Throw-away databases: a file that is migrated once per process, and copied for each test."""

import shutil
import tempfile
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from infra.database.engine import Database, connect
from infra.database.migrations import migrate
from infra.settings import Settings, load

#: Memory, where there is such a folder: a commit that waits for a disk is most of what a test would take.
_MEMORY = Path("/dev/shm")  # noqa: S108  # the folders in it are made by tempfile, private and under names of chance


def make() -> tuple[Database, TemporaryDirectory[str]]:
    """A migrated, empty SQLite database, and the folder that goes with it."""
    folder = _folder()
    file = shutil.copyfile(Path(_template().name, "template.db"), Path(folder.name, "kit.db"))
    return connect(f"sqlite:///{file}"), folder


def settings(folder: Path) -> Settings:
    """What handlers may ask for; no server is named that anybody has."""
    return load(
        database_url=f"sqlite:///{folder / 'kit.db'}",
        rabbitmq_url="amqp://kit.invalid",
        smtp_url="smtp://kit.invalid",
        operator_email="operator@example.org",
        state_dir=folder,
    )


@cache
def _template() -> TemporaryDirectory[str]:
    """Removed with the process."""
    folder = _folder()
    migrate(f"sqlite:///{folder.name}/template.db")
    return folder


def _folder() -> TemporaryDirectory[str]:
    return TemporaryDirectory(prefix="tidings-kit-", dir=_MEMORY if _MEMORY.is_dir() else tempfile.gettempdir())
