"""What a failed try leaves behind for people: its error in one line, its class, and where in the application it was."""

import re
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import psycopg
from pydantic import ValidationError
from sqlalchemy.exc import PendingRollbackError, StatementError

from infra.errors import EffectError

#: Characters of an error's text that are kept, and of a frame.
LONGEST_ERROR, _LONGEST_FRAME = 500, 200
#: Fields that a validation error names at most.
_MOST_FIELDS = 5
_NO_TEXT = "(its text cannot be read)"
_PROJECT = Path(__file__).resolve().parents[1]
_OURS = "infra"
#: Packages of this project in which a consumer's own code may lie; further ones are known by their handlers.
_APPLICATION = frozenset({"consumers", "events", "gateway", "scheduler"})
#: What neither a header, nor a log line, nor PostgreSQL takes: control characters, line ends, halves of characters.
_UNPRINTABLE = re.compile(r"[\x00-\x20\x7f-\x9f\u2028\u2029\ud800-\udfff]+")


@dataclass(frozen=True, slots=True)
class Evidence:
    """One failure, as it is kept."""

    #: Class and message, one line; of errors that quote data only what cannot be personal.
    text: str
    #: Class of the exception, with its module; of an effect's error the one that it was raised from.
    exception: str
    #: `consumers/sms.py:12 in send`; None when there is no traceback.
    frame: str | None


def gather(error: BaseException, package: str) -> Evidence:
    """What there is to keep of an error in a handler of this package."""
    try:
        kind = type(_named(error))
        return Evidence(text_of(error), _name(kind), _frame(error, _APPLICATION | {package}))
    except Exception:  # noqa: BLE001  # a class may answer anything when it is asked what it is
        kind = type(error)
        return Evidence(f"{kind.__name__}: {_NO_TEXT}", _name(kind), None)


def _name(kind: type) -> str:
    return one_line(f"{kind.__module__}.{kind.__qualname__}")


def _named(error: BaseException) -> BaseException:
    """What an effect met says more than that it failed: a disconnect and a greylisting are two groups of failures."""
    return error.__cause__ if isinstance(error, EffectError) and error.__cause__ is not None else error


def text_of(error: BaseException) -> str:
    """Class and message of an error; of a database's only its code, and of validation only the fields: both quote."""
    name = type(error).__name__
    if isinstance(error, StatementError | sqlite3.Error | psycopg.Error):
        said = _code(getattr(error, "orig", None) or error)
    elif isinstance(error, ValidationError):
        said = _fields(error)
    elif isinstance(error, PendingRollbackError):
        said = "a statement before it failed"  # and its own text quotes that one's
    else:
        said = _message(error)
    return one_line(f"{name}: {said}")[:LONGEST_ERROR].rstrip()


def one_line(text: str) -> str:
    """Text that a header, a log line and every database takes as it is."""
    return _UNPRINTABLE.sub(" ", text).strip()


def _message(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:  # noqa: BLE001  # an error that cannot say what it is must not become another one
        return _NO_TEXT


def _code(cause: BaseException) -> str:
    return str(getattr(cause, "sqlstate", None) or getattr(cause, "sqlite_errorname", None) or type(cause).__name__)


def _fields(error: ValidationError) -> str:
    faults = error.errors(include_url=False, include_context=False, include_input=False)
    named = [f"{_field(fault['loc'])}: {fault['type']}" for fault in faults if fault["type"] != "extra_forbidden"]
    named += ["a field that does not belong there"] * (len(named) < len(faults))
    return f"{error.title}: {', '.join(named[:_MOST_FIELDS])}{', …' * (len(named) > _MOST_FIELDS)}"


def _field(location: tuple[int | str, ...]) -> str:
    """Where in the data; what cannot be the name of a field is a key of somebody's data, which is not for show."""
    return ".".join(str(part) if isinstance(part, int) or part.isidentifier() else "…" for part in location) or "data"


def _frame(error: BaseException, application: frozenset[str]) -> str | None:
    """The innermost frame of the application; failing that of ours, failing that of all."""
    frames = list(_frames(error))
    for wanted in (application - {_OURS}, {_OURS}):
        chosen = [(frame, line) for frame, line in frames if _package(frame) in wanted]
        if chosen:
            return _shown(*chosen[-1])
    return _shown(*frames[-1]) if frames else None


def _frames(error: BaseException) -> Iterator[tuple[FrameType, int]]:
    trace = error.__traceback__
    while trace is not None:
        yield trace.tb_frame, trace.tb_lineno
        trace = trace.tb_next


def _package(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", "")).partition(".")[0]


def _shown(frame: FrameType, line: int) -> str:
    file = Path(frame.f_code.co_filename)
    is_here = file.is_relative_to(_PROJECT) and "site-packages" not in file.parts
    path = file.relative_to(_PROJECT) if is_here else Path(*file.parts[-2:])
    return one_line(f"{path.as_posix()}:{line} in {frame.f_code.co_name}")[-_LONGEST_FRAME:]
