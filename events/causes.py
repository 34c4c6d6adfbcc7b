"""The types of an event's causes, and the rule by which a loop of events is told before it goes round for ever.

A chain is the types from the first cause to the direct one; what comes several times in a row is counted:
`hour.passed reminder.page.ended*37`. So it stays short, whatever an event type continues itself.
"""

import json
import re
from collections.abc import Iterator

from events.registry import REPEATS, repeats

#: Attribute of CloudEvents, an extension of ours.
ATTRIBUTE = "causationtypes"
#: Causes that an event may have; of a type that says itself how often it repeats, those in a row are one.
DEEPEST = 20

_LONGEST_TYPE, _MOST = 255, 9_999
# The last word may be the member of a family, which has words of its own.
_TYPE = r"[a-z][a-z0-9]*(?:\.[a-z][a-z0-9]*)+(?:\.[a-z0-9]+)?(?:-[a-z0-9]+)*"
_RUN = rf"{_TYPE}(?:\*[1-9][0-9]{{0,3}})?"
# What has more causes than may be is handled by nobody, so nothing has more than one run more.
_CHAIN = re.compile(rf"{_RUN}(?: {_RUN}){{0,{DEEPEST}}}")
_LONGEST = (DEEPEST + 1) * (_LONGEST_TYPE + len(f"*{_MOST} "))
#: Both make an event without causes of it.
_WAY_OUT = " (to have it handled all the same, replay it with force, or edit it)"


def is_chain(value: object) -> bool:
    """Whether this is a chain that we may have written."""
    return isinstance(value, str) and len(value) <= _LONGEST and _CHAIN.fullmatch(value) is not None


def extended(chain: str | None, event_type: str) -> str:
    """The chain of what an event of this type, which has this chain itself, is the cause of; one too long stays."""
    if chain is None:
        return event_type
    before, _, last = chain.rpartition(" ")
    name, number = _run(last)
    if name == event_type:
        return f"{before} {name}*{min(number + 1, _MOST)}".lstrip()
    return chain if chain.count(" ") >= DEEPEST else f"{chain} {event_type}"


def loop(event_type: str, chain: str) -> str | None:
    """Why an event of this type with this chain is held to be part of a loop; None: it is not."""
    again, allowed = sum(number for name, number in _runs(chain) if name == event_type), repeats(event_type)
    if again > allowed:
        return f"A loop: {event_type} is {again} times among its own causes, and may be {allowed}{_WAY_OUT}: {chain}"
    # A run of a type that continues itself says nothing of a loop: that type's own rule is for that.
    depth = sum(number if repeats(name) == REPEATS else 1 for name, number in _runs(chain))
    return (
        f"As good as a loop: it has {depth} causes, and may have {DEEPEST}{_WAY_OUT}: {chain}"
        if depth > DEEPEST
        else None
    )


def without(body: bytes) -> bytes:
    """The event on the wire as if it had no cause: an operator wants it handled, and counting begins anew."""
    if ATTRIBUTE.encode() not in body:
        return body
    try:
        event = json.loads(body)
        del event[ATTRIBUTE]
        return json.dumps(event, separators=(",", ":"), ensure_ascii=False).encode()
    except (ValueError, KeyError, TypeError, RecursionError):  # it is no event, and stays as it came
        return body


def let_through(body: bytes) -> bytes:
    """A replay that was not held to be part of a loop, from the log: if its causes say so, it had come without them."""
    if ATTRIBUTE.encode() not in body:
        return body
    event = json.loads(body)
    chain = event.get(ATTRIBUTE)
    return without(body) if chain is not None and loop(event["type"], chain) is not None else body


def _runs(chain: str) -> Iterator[tuple[str, int]]:
    return map(_run, chain.split(" "))


def _run(text: str) -> tuple[str, int]:
    name, _, number = text.partition("*")
    return name, int(number or 1)
