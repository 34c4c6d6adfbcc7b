"""The options of a consumer in words, for people who look at it from outside."""

from collections.abc import Iterable, Mapping
from itertools import groupby
from typing import Any

#: Seconds -> unit; the largest that divides a time is taken.
_UNITS = ((86_400, "d"), (3_600, "h"), (60, "min"))


def lane(options: Mapping[str, Any]) -> list[str]:
    """How it takes events, a few words each; nothing when an older program recorded it."""
    if not options:
        return []
    return [each for each in (_parallel(options), _batch(options), *_rules(options)) if each]


def retries(options: Mapping[str, Any]) -> str:
    """What becomes of an event that fails."""
    retry = options.get("retry")
    if not retry:
        return ""
    delays = [_times(duration(delay), len(list(same))) for delay, same in groupby(retry["delays"])]
    tries = f"tried again after {_listed(delays)}, then a dead letter" if delays else "a dead letter at once"
    rules = f"; {_count(retry['rules'], 'rule')} of its own for some errors" if retry.get("rules") else ""
    age = f"; given up when older than {duration(retry['max_age'])}" if retry.get("max_age") else ""
    return tries + rules + age


def duration(seconds: float) -> str:
    """A time as people say it: 5 s, 2 min, 1 h."""
    for size, unit in _UNITS:
        if seconds >= size and seconds % size == 0:
            return f"{seconds / size:g} {unit}"
    return f"{seconds:g} s"


def _times(text: str, number: int) -> str:
    return text if number == 1 else f"{number} times {text}"


def _parallel(options: Mapping[str, Any]) -> str:
    return f"{options['concurrency']} at once" if options.get("concurrency") else ""


def _batch(options: Mapping[str, Any]) -> str:
    batch = options.get("batch")
    return f"in batches of up to {batch['size']}" if batch else ""


def _rules(options: Mapping[str, Any]) -> Iterable[str]:
    if options.get("ordered"):
        yield "in order for each subject"
    if options.get("filtered"):
        yield "only those that its filter lets through"
    if options.get("pause_after"):
        yield f"pauses itself after {options['pause_after']} failures in a row"


def _listed(parts: list[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
