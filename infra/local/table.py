"""The tables that people read: where everything is, and how it does."""

from collections.abc import Sequence
from urllib.parse import urlsplit

from infra.local.record import Record

_EXAMPLE = (
    "curl -X POST {http}/users -H 'content-type: application/json'"
    """ -d '{{"name":"Ada Lovelace","email":"ada@example.com"}}'"""
)


def opening(record: Record, stop: str) -> str:
    """What `up` ends its start with; `stop` says how to end it."""
    example = _EXAMPLE.format(http=record.http)
    return f"\nTidings is up. {stop}\n\n{_rows(_addresses(record))}\n\nTry it:\n  {example}\n"


def status(record: Record) -> str:
    """What `status` shows: the programs, then the addresses."""
    programs = [("program", "state", "pid", "restarts")]
    programs += [(one.name, one.state, str(one.pid or "-"), str(one.restarts)) for one in record.processes]
    return f"{_rows(programs)}\n\n{_rows([*_addresses(record), ('database', record.database)])}"


def _addresses(record: Record) -> list[tuple[str, ...]]:
    return [
        ("gateway", record.http),
        ("API docs", f"{record.http}/docs"),
        ("event catalogue", f"{record.http}/catalogue"),
        ("RabbitMQ", _management(record)),
        ("mailbox", record.mailbox or f"none: mails go to {record.smtp}"),
        ("operator token", record.operator_token_file or "the one in TIDINGS_OPERATOR_TOKEN"),
    ]


def _management(record: Record) -> str:
    if record.management is None:
        return record.amqp
    parts = urlsplit(record.management)
    return f"http://{parts.hostname}:{parts.port} (user {parts.username}, password {parts.password})"


def _rows(rows: Sequence[tuple[str, ...]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)
    return "\n".join(f"  {line}".rstrip() for line in lines)
