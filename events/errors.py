"""Why bytes from the bus are not an event of ours: one class, and one durable reason, for each case."""

from typing import ClassVar


class UndecodableEvent(Exception):
    """Base of all: bytes that cannot be read as an event; the text never holds the body."""

    reason: ClassVar[str]


class NotJson(UndecodableEvent):
    """Not UTF-8 JSON as RFC 8259 has it: NaN, duplicate keys, too deep nesting and lone surrogates count too."""

    reason = "not-json"


class InvalidData(UndecodableEvent):
    """JSON, but not a CloudEvents 1.0 envelope, or its data does not fit the event's class."""

    reason = "invalid-data"


class UnknownType(UndecodableEvent):
    """A well-formed event of a type that this program does not know."""

    reason = "unknown-type"


class NewerVersion(UndecodableEvent):
    """A version of a known type that is newer than this program."""

    reason = "newer-version"


class TooLarge(UndecodableEvent):
    """More than 256 KiB on the wire."""

    reason = "too-large"
