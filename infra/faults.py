"""Failpoints: places where a crash hurts, which do nothing until a test or a drill arms one of them.

`TIDINGS_FAULT=name:nth:action` fails at the nth time that the process comes by: `exit` ends the process like a crash,
`raise` raises `FaultInjected`, `sleep` stands still for `SLEEP` seconds. `name@where:nth:action` counts only one
consumer's passings (or one schedule's, at the scheduler's points). Several are joined by commas.
"""

import os
import threading
import time
from dataclasses import dataclass
from typing import NoReturn

import structlog

from infra.errors import ConfigurationError

#: Exit code of a process that a failpoint ended.
EXIT = 86
#: Seconds.
SLEEP = 5.0
_ACTIONS = ("exit", "raise", "sleep")
_log = structlog.get_logger(__name__)
#: Every failpoint by its durable name; the tests of crash points go through all of them.
NAMES = frozenset(
    {
        "gateway.before-commit",
        "gateway.after-commit",
        "relay.after-claim",
        "relay.before-confirm",
        "relay.after-confirm",
        "resend.after-confirm",
        "backfill.after-confirm",
        "delivery.in-transaction",
        "delivery.after-commit",
        "delivery.after-effect",
        "delivery.before-ack",
        "ordering.after-waiting",
        "ordering.before-wake",
        "retry.before-ack",
        "dead.before-ack",
        "keeper.before-commit",
        "keeper.before-ack",
        "scheduler.before-insert",
        "scheduler.after-insert",
        "scheduler.after-commit",
        "job.after-begin",
        "job.before-checkpoint",
        "job.after-checkpoint",
        "job.before-end",
        "job.after-end",
        "cleaning.between-batches",
    }
)


class FaultInjected(Exception):
    """A fault that somebody asked for by TIDINGS_FAULT."""


@dataclass(slots=True)
class _Armed:
    name: str
    #: Empty for everywhere.
    where: str
    left: int
    action: str

    def is_at(self, name: str, where: str) -> bool:
        return self.name == name and self.where in ("", where)


_armed: list[_Armed] = []
_lock = threading.Lock()


def arm(fault: str | None) -> None:
    """Arm what the setting names, and nothing else.

    Raises:
        ConfigurationError: it cannot be read, or names no failpoint.
    """
    _armed[:] = [_parse(each) for each in fault.split(",")] if fault else []


def is_armed(name: str) -> bool:
    """Whether this failpoint is still to fail: for a place that must be arranged for it first, at a cost."""
    return any(each.name == name and each.left > 0 for each in _armed)


def failpoint(name: str, where: str = "") -> None:
    """Fail here if this was asked for, else cost next to nothing.

    Raises:
        FaultInjected: the action is `raise`.
    """
    if _armed:
        _come_by(name, where)


def _come_by(name: str, where: str) -> None:
    action = _due(name, where)
    if action is None:
        return
    _log.warning("fault injected", failpoint=name, where=where, action=action)
    if action == "exit":
        os._exit(EXIT)
    if action == "sleep":
        time.sleep(SLEEP)
        return
    raise FaultInjected(f"The failpoint {name} was told to fail.")


def _due(name: str, where: str) -> str | None:
    """Count this passing, and give what is to happen at it."""
    with _lock:
        here = [each for each in _armed if each.is_at(name, where)]
        for each in here:
            each.left -= 1
        return next((each.action for each in here if each.left == 0), None)


def _parse(text: str) -> _Armed:
    place, _, rest = text.strip().partition(":")
    name, _, where = place.partition("@")
    nth, _, action = rest.partition(":")
    if name not in NAMES or not (nth.isascii() and nth.isdecimal()) or int(nth) < 1 or action not in _ACTIONS:
        _refuse(text)
    return _Armed(name, where, int(nth), action)


def _refuse(text: str) -> NoReturn:
    raise ConfigurationError(
        f"TIDINGS_FAULT: {text[:80]!r} is not name:nth:action or name@where:nth:action; "
        f"names are {', '.join(sorted(NAMES))}; actions are {', '.join(_ACTIONS)}."
    )
