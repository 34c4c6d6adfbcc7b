"""Failpoints: places where a crash hurts, which do nothing until a test or a drill arms one of them.

`TIDINGS_FAULT=name:nth:action` fails at the nth time that the process comes by: `exit` ends the process like a crash,
`raise` raises `FaultInjected`, `sleep` stands still for `SLEEP` seconds. Several are joined by commas.
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
        "delivery.in-transaction",
        "delivery.after-commit",
        "delivery.after-effect",
        "delivery.before-ack",
        "retry.before-ack",
        "dead.before-ack",
        "keeper.before-commit",
        "keeper.before-ack",
        "scheduler.before-insert",
        "scheduler.after-insert",
        "scheduler.after-commit",
    }
)


class FaultInjected(Exception):
    """A fault that somebody asked for by TIDINGS_FAULT."""


@dataclass(slots=True)
class _Armed:
    left: int
    action: str


_armed: dict[str, _Armed] = {}
_lock = threading.Lock()


def arm(fault: str | None) -> None:
    """Arm what the setting names, and nothing else.

    Raises:
        ConfigurationError: it cannot be read, or names no failpoint.
    """
    parsed = dict(_parse(each) for each in fault.split(",")) if fault else {}
    _armed.clear()
    _armed.update(parsed)


def is_armed(name: str) -> bool:
    """Whether this failpoint is still to fail: for a place that must be arranged for it first, at a cost."""
    return name in _armed and _armed[name].left > 0


def failpoint(name: str) -> None:
    """Fail here if this was asked for, else cost next to nothing.

    Raises:
        FaultInjected: the action is `raise`.
    """
    if _armed:
        _come_by(name)


def _come_by(name: str) -> None:
    with _lock:
        armed = _armed.get(name)
        if armed is None:
            return
        armed.left -= 1
        if armed.left:
            return
    _log.warning("fault injected", failpoint=name, action=armed.action)
    if armed.action == "exit":
        os._exit(EXIT)
    if armed.action == "sleep":
        time.sleep(SLEEP)
        return
    raise FaultInjected(f"The failpoint {name} was told to fail.")


def _parse(text: str) -> tuple[str, _Armed]:
    name, _, rest = text.strip().partition(":")
    nth, _, action = rest.partition(":")
    if name not in NAMES or not nth.isdecimal() or int(nth) < 1 or action not in _ACTIONS:
        _refuse(text)
    return name, _Armed(int(nth), action)


def _refuse(text: str) -> NoReturn:
    raise ConfigurationError(
        f"TIDINGS_FAULT: {text[:80]!r} is not name:nth:action; names are {', '.join(sorted(NAMES))}; "
        f"actions are {', '.join(_ACTIONS)}."
    )
