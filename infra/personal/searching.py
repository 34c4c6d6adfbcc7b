"""Whether a file of a result names a person."""

import json
import re
from collections.abc import Iterator
from typing import BinaryIO

from infra.database.personal import Person

#: Bytes that are read at once, and how much of the end of one part is looked at once more with the next.
_PART, _OVERLAP = 1 << 20, 1 << 10
#: What an address goes on with, so that `a@example.com` is not found in `ada@example.com`.
_BEFORE, _AFTER = rb"(?<![\w.+%-])", rb"(?![\w-]|\.\w)"


def names(file: BinaryIO, person: Person) -> bool:
    """Whether the file has the person's id or address in it, as plain text; what is packed is not looked into."""
    pattern = _pattern(person)
    return any(pattern.search(part) is not None for part in _parts(file))


def _pattern(person: Person) -> re.Pattern[bytes]:
    words = [re.escape(person.id.encode())]
    if person.address is not None:
        forms = {person.address, json.dumps(person.address)[1:-1]}
        words += [_BEFORE + re.escape(form.encode()) + _AFTER for form in sorted(forms)]
    return re.compile(b"|".join(words), re.IGNORECASE)


def _parts(file: BinaryIO) -> Iterator[bytes]:
    end = b""
    while part := file.read(_PART):
        yield end + part
        end = part[-_OVERLAP:]
