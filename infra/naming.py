"""Names of consumers: each is the name of a queue too, so few characters are allowed, and some names are taken."""

import re

#: Characters of a name.
LONGEST_NAME = 100
#: Stands for the consumer of a dead letter that does not say whose it is.
UNKNOWN = "unknown"
_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_RESERVED = frozenset({"events", "dead", "dead-letters", UNKNOWN})


def is_name(text: str) -> bool:
    """Whether it can name a consumer and its queue."""
    return problem_of(text) is None


def problem_of(text: str) -> str | None:
    """Why it cannot name a consumer, in one line; None when it can."""
    if len(text) > LONGEST_NAME:
        return f"A consumer's name has {LONGEST_NAME} characters at most: {text[:40]}…"
    if _NAME.fullmatch(text) is None:
        return f"{text!r} cannot name a consumer: use words of a-z and 0-9 joined by '-'."
    if text in _RESERVED:
        return f"{text!r} cannot name a consumer: it is a name of the bus itself."
    return None
