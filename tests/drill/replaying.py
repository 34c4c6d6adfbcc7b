"""The drill's last step: an operator replays the mails that were given up, over HTTP, while nothing fails any more."""

import time
from contextlib import closing
from dataclasses import dataclass
from http.client import HTTPConnection
from typing import Any

from infra.local.ports import LOOPBACK
from tests.drill.stage import TOKEN, Stage
from tests.drill.witnesses import MAILING
from tests.installation import ask

#: Seconds for all of it, and between two looks.
DEADLINE, LOOK = 120.0, 0.5
_UNDER_WAY = ("running", "stopping")


@dataclass(frozen=True, slots=True)
class Replayed:
    """How it ended."""

    total: int = 0
    handled: int = 0
    #: Of the operation, with its own words.
    state: str = "done"

    @property
    def is_good(self) -> bool:
        """Whether every one of them was handled."""
        return self.state.startswith("done") and self.handled == self.total

    def __str__(self) -> str:
        return f"replay of {self.total} mails that were given up: {self.handled} handled, {self.state}"


def replay(stage: Stage) -> Replayed:
    """Replay every mail that was given up, and wait for the end of the operation."""
    which = {"consumer": MAILING, "reason": "handler-error"}
    with closing(HTTPConnection(LOOPBACK, stage.http_port, timeout=30)) as client:
        if _ask(client, "POST", "/dead-letters/replay", {**which, "dry_run": True})["total"] == 0:
            return Replayed()
        begun = _ask(client, "POST", "/dead-letters/replay", {**which, "why": "the drill is over"})
        deadline = time.monotonic() + DEADLINE
        while begun["state"] in _UNDER_WAY and time.monotonic() < deadline:
            time.sleep(LOOK)
            begun = _ask(client, "GET", f"/operations/{begun['id']}")
    state = f"{begun['state']} {begun['message']}".strip()
    return Replayed(begun["total"], begun["handled"], state)


def _ask(client: HTTPConnection, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    status, answer = ask(client, method, path, body, token=TOKEN)
    assert status < 300, f"{method} {path}: {status} {answer}"
    return dict(answer)
