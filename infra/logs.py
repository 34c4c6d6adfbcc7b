"""Logging: one configuration for our own lines and those of libraries; console for people, JSON for machines."""

import logging
import sys

import structlog
from structlog.typing import Processor

from infra.settings import Settings

#: Libraries that say too much, or whose lines at lower levels hold bodies.
_QUIET = {
    "aio_pika": logging.CRITICAL,
    "aiormq": logging.CRITICAL,
    "alembic": logging.WARNING,
    "apscheduler": logging.WARNING,
    "dramatiq": logging.WARNING,
    "mail.log": logging.WARNING,
    "pika": logging.CRITICAL,
    "uvicorn": logging.WARNING,
    "watchdog": logging.WARNING,
}


def configure(settings: Settings, *, program: str) -> None:
    """Set logging up for this process; `program` stands on each JSON line."""
    console = settings.log_format == "console" or (settings.log_format == "auto" and sys.stderr.isatty())
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[structlog.stdlib.filter_by_level, *shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=[_named(program), *_last(console)])
    )
    logging.basicConfig(handlers=[handler], level=settings.log_level.upper(), force=True)
    for name, level in _QUIET.items():
        logging.getLogger(name).setLevel(level)


def _last(console: bool) -> list[Processor]:
    strip: Processor = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    if console:
        plain = structlog.dev.plain_traceback
        return [strip, structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=plain)]
    return [strip, structlog.processors.format_exc_info, structlog.processors.JSONRenderer(ensure_ascii=False)]


def _named(program: str) -> Processor:
    def name(_logger: object, _method: str, line: structlog.typing.EventDict) -> structlog.typing.EventDict:
        line["program"] = program
        return line

    return name
