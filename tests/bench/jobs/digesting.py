"""The small job that all sides do: a hash over a few thousand octets."""

import hashlib
from typing import Literal

from pydantic import BaseModel

#: The kind's name on our side.
KIND = "bench-digest"


class Digest(BaseModel):
    """What is to be hashed."""

    number: int
    #: Octets.
    size: int = 4_096


class Digested(BaseModel):
    """What came of it."""

    number: int
    digest: str


class Wanted(BaseModel):
    """The body that is posted, on either side."""

    kind: Literal["bench-digest"]
    parameters: Digest


def digest(number: int, size: int) -> str:
    """The hash of a text that the number decides."""
    word = f"{number} "
    return hashlib.sha256((word * (size // len(word) + 1))[:size].encode()).hexdigest()
