"""Which of several files a client would like best, by its `Accept` (RFC 9110, section 12.5.1)."""

import re
from collections.abc import Iterator, Sequence

from infra.database.job_tables import JobFile

_RANGE = re.compile(r"\s*([a-z0-9!#$&^_.+-]+|\*)/([a-z0-9!#$&^_.+-]+|\*)\s*(?:;(.*))?", re.IGNORECASE)
#: As people write it too: `.2`, or with more digits than it may have.
_QUALITY = re.compile(r"(?:.*;)?\s*q\s*=\s*([0-9]{1,9}(?:\.[0-9]*)?|\.[0-9]+)\s*(?:;.*)?", re.IGNORECASE)


def choose(files: Sequence[JobFile], accept: str) -> JobFile | None:
    """The first of those that the client likes best; None when it takes none of them. Nothing said is all the same."""
    ranges = dict(_ranges(accept or "*/*"))
    best = max(files, key=lambda file: _quality(file, ranges), default=None)  # the first one, among equals
    return best if best is not None and _quality(best, ranges) > 0 else None


def _quality(file: JobFile, ranges: dict[str, float]) -> float:
    """By the narrowest range that the file's type is in."""
    kind = file.media_type.partition(";")[0].strip()
    names = (kind, f"{kind.partition('/')[0]}/*", "*/*")
    return next((ranges[name] for name in names if name in ranges), 0.0)


def _ranges(accept: str) -> Iterator[tuple[str, float]]:
    """What can be read of the header: a range, and how much it is liked."""
    for part in accept.split(","):
        if (found := _RANGE.fullmatch(part)) is not None:
            liked = _QUALITY.fullmatch(found[3]) if found[3] else None
            yield f"{found[1]}/{found[2]}".lower(), min(1.0, float(liked[1])) if liked else 1.0
