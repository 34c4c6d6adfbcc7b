"""What `./tidings up` runs and where, as a file: for `status`, and for programs that are started by hand beside it."""

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ValidationError

from infra.settings import keep_private

State = Literal["starting", "ready", "restarting", "stopped"]


class Process(BaseModel):
    """One program under supervision."""

    name: str
    pid: int | None = None
    state: State = "starting"
    #: How often it died and was started again.
    restarts: int = 0
    #: URL that answers 200 when the program is ready; None where only the supervisor can tell.
    probe: str | None = None


class Record(BaseModel):
    """Addresses are those of what runs here, passwords included; those of servers elsewhere are shown without."""

    http: str
    amqp: str
    management: str | None
    smtp: str
    mailbox: str | None
    database: str
    #: None when the token is a setting.
    operator_token_file: str | None
    processes: list[Process] = []

    def is_ready(self) -> bool:
        """Whether every program is ready."""
        return all(process.state == "ready" for process in self.processes)

    def public(self) -> dict[str, Any]:
        """What `status --json` prints."""
        return self.model_dump(exclude={"processes": {"__all__": {"probe"}}})


def read(path: Path) -> Record | None:
    """The record in this file, None when there is none that can be read."""
    try:
        return Record.model_validate_json(path.read_text())
    except (OSError, ValidationError):
        return None


def write(path: Path, record: Record) -> None:
    """Replace the file's record at once; only its owner can read it."""
    keep_private(path, record.model_dump_json(indent=2))
