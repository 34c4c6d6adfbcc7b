"""JSON as RFC 8259 and RFC 7493 have it, and no more: what Python's reader lets pass and others do not is refused."""

import json
import re
from collections.abc import Iterable
from math import isfinite
from typing import Any

from events.errors import NotJson

#: Levels of arrays and objects. A bound of our own: Python's depends on how deep the caller's stack already is.
DEEPEST = 64

_ESCAPED_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


def read(body: bytes) -> Any:
    """The value that these bytes spell.

    Raises:
        NotJson: names the problem, and never a part of the body.
    """
    try:
        text = body.decode()  # not json.loads(bytes), which would take UTF-16 and UTF-32 too
        value = _decoder.decode(text)
        _check_depth(text, value)
        _check_surrogates(text, value)
    except RecursionError:
        raise NotJson("nested too deep") from None
    except UnicodeError:
        raise NotJson("not UTF-8, or half of a surrogate pair") from None
    except json.JSONDecodeError as error:
        raise NotJson(f"not JSON from character {error.pos} on") from None
    except ValueError:  # Python's own bound on the digits of an integer
        raise NotJson("a number is too long") from None
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise NotJson("an object has the same key twice")
    return members


def _finite(digits: str) -> float:
    number = float(digits)
    if not isfinite(number):
        raise NotJson("a number is too large")
    return number


def _no_constant(name: str) -> None:
    raise NotJson(f"{name} is not JSON")


_decoder = json.JSONDecoder(object_pairs_hook=_unique, parse_float=_finite, parse_constant=_no_constant)


def _check_depth(text: str, value: Any) -> None:
    if text.count("{") + text.count("[") <= DEEPEST:  # the usual event is done here
        return
    level, depth = _containers([value]), 0
    while level:
        depth += 1
        if depth > DEEPEST:
            raise NotJson("nested too deep")
        level = [inner for outer in level for inner in _containers(outer)]


def _containers(values: Iterable[Any]) -> list[Iterable[Any]]:
    found = (value for value in values if isinstance(value, dict | list))
    return [value.values() if isinstance(value, dict) else value for value in found]


def _check_surrogates(text: str, value: Any) -> None:
    # Strict UTF-8 holds no surrogate, so only an escape can have made one; a whole pair has become one character.
    if _ESCAPED_SURROGATE.search(text):
        json.dumps(value, ensure_ascii=False).encode()
