"""Whether this program reads what was frozen, all of it: looked for without a database, before anything is deployed."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from events.envelope import Event
from events.registry import check_upcasters
from infra.schemas import freezing, frozen, sampling
from infra.schemas.frozen import FOLDER, Frozen

_SAID = {
    "new": "is not frozen",
    "without-samples": "has no frozen samples",
    "changed": "has changed since it was frozen, in a way that is allowed",
}


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that is wrong with a version of an event type; of all its versions if none is named."""

    type: str
    version: int | None
    text: str


def problems(chosen: Iterable[type[Event]], folder: Path = FOLDER) -> list[Problem]:
    """All that is wrong with these classes and with what is frozen."""
    found = list(chosen)
    newest: dict[str, int] = {}
    for cls in found:
        newest[cls.TYPE] = max(cls.VERSION, newest.get(cls.TYPE, 0))
    steps = (text.partition(": ") for text in check_upcasters())
    return [
        *_changed(found, folder),
        *(Problem(name, None, text) for name, _, text in steps if name in newest),
        *(problem for each in frozen.every(folder) for problem in _unread(each, newest.get(each.type))),
    ]


def _changed(found: Iterable[type[Event]], folder: Path) -> Iterator[Problem]:
    for each in freezing.judge(found, folder):
        if each.verdict != "same":
            text = each.way_out if each.verdict == "broken" else f"{_SAID[each.verdict]}: run ./tidings events freeze."
            yield Problem(each.event.TYPE, each.event.VERSION, text)


def _unread(each: Frozen, newest: int | None) -> Iterator[Problem]:
    if newest is None:
        text = "is frozen, and no class reads it: if ./tidings events check --live finds none, remove its files"
        yield Problem(each.type, each.version, text)
        return
    if each.version > newest:
        yield Problem(each.type, each.version, f"is frozen, but the newest class is of version {newest}")
        return
    wrong = [(number, why) for number, data in enumerate(each.samples, 1) if (why := _problem(each, data))]
    if wrong:
        (number, why), of = wrong[0], f"{len(wrong)} of {len(each.samples)}"
        yield Problem(
            each.type, each.version, f"{of} samples cannot be read any more, the first is no. {number}: {why}"
        )


def _problem(each: Frozen, data: object) -> str | None:
    return sampling.problem(each.type, each.version, data)
