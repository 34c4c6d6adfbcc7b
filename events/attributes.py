"""What the attributes of a CloudEvents envelope look like: text, ids, times and the trace."""

import re
from datetime import UTC, datetime, timedelta
from typing import TypeGuard
from uuid import UUID

#: Characters. An indexed subject must fit into a B-tree entry of PostgreSQL (2,704 bytes) at 4 bytes each.
LONGEST_TEXT = 500

# CloudEvents 1.0.2, "Type System", String: no control characters, no surrogates, no noncharacters. It matters beyond
# the specification: PostgreSQL refuses U+0000 in a text column, and a line break in a subject could forge a log line.
_NONCHARACTERS = "".join(chr(plane << 16 | tail) for plane in range(17) for tail in (0xFFFE, 0xFFFF))
_TEXT = re.compile(f"[^\x00-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef{_NONCHARACTERS}]{{1,{LONGEST_TEXT}}}")
_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
# RFC 3339, section 5.6. `datetime.fromisoformat` alone also takes week dates and times without a zone.
_TIME = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T(?:[01][0-9]|2[0-3]):[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,32})?(?:Z|[+-][0-9]{2}:[0-9]{2})"
)
# https://www.w3.org/TR/trace-context/#traceparent-header: version ff and ids of zeros are invalid.
_TRACE = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


def is_text(value: object) -> TypeGuard[str]:
    """Whether this is a string that a text attribute (type, source, subject) may hold."""
    return isinstance(value, str) and _TEXT.fullmatch(value) is not None


def is_id(value: object) -> TypeGuard[str]:
    """Whether this is a UUID in its one canonical spelling: ids are compared as strings."""
    return isinstance(value, str) and _ID.fullmatch(value) is not None


def traceparent_or_none(value: object) -> str | None:
    """The value if it is a W3C traceparent; else None, for the standard says to restart a trace and not to fail."""
    return value if isinstance(value, str) and _TRACE.fullmatch(value) else None


def read_time(value: object) -> datetime | None:
    """The UTC moment that an RFC 3339 text names, cut to microseconds; None if it names none."""
    if not isinstance(value, str) or not _TIME.fullmatch(value.upper()):
        return None
    try:
        return datetime.fromisoformat(value.upper()).astimezone(UTC)
    except (ValueError, OverflowError):  # 31 February; 0001-01-01 east of Greenwich
        return None


def write_time(moment: datetime) -> str:
    """RFC 3339 in UTC with all six digits, so that times sort as text too."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds")[: -len("+00:00")] + "Z"


def lowest_id(moment: datetime) -> str:
    """An id below all that are made from this millisecond on, and above those made before (RFC 9562, section 5.7)."""
    return str(UUID(int=max(0, (moment - _EPOCH) // _MILLISECOND) << 80))
