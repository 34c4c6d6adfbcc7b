"""What is kept of a failure: enough to find it, nothing that is somebody's data, and no form that breaks a store."""

import sqlite3
from collections.abc import Callable
from types import ModuleType
from typing import Any

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, EmailStr, ValidationError, field_validator
from sqlalchemy import text
from sqlalchemy.exc import DataError, IntegrityError, PendingRollbackError, StatementError

from infra.database.engine import Database
from infra.errors import DatabaseUnavailable, EffectFailed, EffectRefused
from infra.evidence import LONGEST_ERROR, Evidence, gather, one_line, text_of
from infra.smtp import Smtp

ADDRESS = "ada@example.com"
PACKAGE = __name__.partition(".")[0]


class Silent(Exception):
    """One whose text cannot be had."""

    def __str__(self) -> str:
        raise RuntimeError(ADDRESS)


class Wrong(Exception):
    """One whose text is none."""

    def __str__(self) -> str:
        return None  # type: ignore[return-value]  # noqa: PLE0307  # that is the point


class Person(BaseModel):
    email: EmailStr
    by_name: dict[str, int] = {}

    @field_validator("email")
    @classmethod
    def _known(cls, email: str) -> str:
        raise ValueError(f"{email} is unknown")


def raised(work: Callable[[], Any]) -> BaseException:
    """The error that this ends in, with its traceback."""
    try:
        work()
    except BaseException as error:  # noqa: BLE001
        return error
    raise AssertionError("it did not fail")


def validation(data: dict[str, Any]) -> ValidationError:
    error = raised(lambda: Person.model_validate(data))
    assert isinstance(error, ValidationError)
    return error


def test_the_text_is_class_and_message_in_one_line() -> None:
    assert "ValueError: no such thing" == text_of(ValueError("no such\r\n \u2028 thing\n"))


@pytest.mark.parametrize("character", ["\x00", "\x1b", "\x7f", "\x85", "\u2029", "\ud800", "\t"])
def test_what_a_store_or_a_log_line_would_not_take_becomes_a_space(character: str) -> None:
    assert "ValueError: a b" == text_of(ValueError(f"a{character}b"))


def test_a_long_text_is_cut() -> None:
    assert LONGEST_ERROR == len(text_of(ValueError("x" * 1_000_000)))


@pytest.mark.parametrize("error", [Silent(), Wrong()])
def test_an_error_that_cannot_say_what_it_is_still_has_its_class(error: Exception) -> None:
    assert f"{type(error).__name__}: (its text cannot be read)" == text_of(error)


SQL: dict[str, tuple[BaseException, str]] = {
    "SQLAlchemy's": (StatementError(ADDRESS, ADDRESS, {}, KeyError(ADDRESS)), "StatementError: KeyError"),
    "psycopg's in SQLAlchemy's": (
        IntegrityError(ADDRESS, {}, psycopg.errors.UniqueViolation(ADDRESS)),
        "IntegrityError: 23505",
    ),
    "psycopg's own": (psycopg.errors.UniqueViolation(ADDRESS), "UniqueViolation: 23505"),
    "psycopg's without a server": (psycopg.OperationalError(ADDRESS), "OperationalError: OperationalError"),
    "sqlite3's without a code": (sqlite3.ProgrammingError(ADDRESS), "ProgrammingError: ProgrammingError"),
    "with one that cannot be sent": (DataError(ADDRESS, {}, psycopg.DataError(ADDRESS)), "DataError: DataError"),
    "a session's after another": (
        PendingRollbackError(f"Original exception was: Key (email)=({ADDRESS}) already exists."),
        "PendingRollbackError: a statement before it failed",
    ),
}


@pytest.mark.parametrize(("error", "expected"), SQL.values(), ids=SQL)
def test_of_a_databases_error_only_the_code_is_kept(error: BaseException, expected: str) -> None:
    """Its text quotes the statement, its values, or the row that was in the way."""
    assert expected == text_of(error)


def test_a_real_violation_of_a_real_database_quotes_nothing(database: Database) -> None:
    def twice() -> None:
        statement = text(
            "INSERT INTO users (id, name, email, email_key, registered_at, event_id)"
            " VALUES (:id, 'Ada', :key, :key, CURRENT_TIMESTAMP, '1')"
        )
        with database.transaction() as session:
            for number in "12":
                session.connection().execute(statement, {"id": number, "key": ADDRESS})

    expected = "SQLITE_CONSTRAINT_UNIQUE" if database.is_sqlite else "23505"
    evidence = gather(raised(twice), PACKAGE)
    assert (f"IntegrityError: {expected}", "sqlalchemy.exc.IntegrityError") == (evidence.text, evidence.exception)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ({}, "ValidationError: Person: email: missing"),
        ({"email": ADDRESS}, "ValidationError: Person: email: value_error"),
        ({"email": ADDRESS, "by_name": {ADDRESS: "x"}}, "email: value_error, by_name.…: int_parsing"),
    ],
)
def test_of_a_validation_error_only_fields_and_kinds_are_kept(data: dict[str, Any], expected: str) -> None:
    said = text_of(validation(data))
    assert said.endswith(expected)
    assert ADDRESS not in said


def test_of_many_faults_the_first_are_named() -> None:
    class Wide(BaseModel):
        a: int
        b: int
        c: int
        d: int
        e: int
        f: int

    error = raised(lambda: Wide.model_validate({}))
    fields = ", ".join(f"{name}: missing" for name in "abcde")
    assert f"ValidationError: Wide: {fields}, …" == text_of(error)


def test_a_field_that_does_not_belong_there_is_not_named() -> None:
    """Its name is the sender's, not ours."""

    class Closed(BaseModel, extra="forbid"):
        a: int = 0

    assert "ValidationError: Closed: a field that does not belong there" == text_of(
        raised(lambda: Closed.model_validate({"ada": 1, "lovelace": 2}))
    )


def in_module(name: str, code: str) -> Callable[..., Any]:
    """A function `run` that lies in a module of this name."""
    module = ModuleType(name)
    exec(compile(code, f"/somewhere/{name.replace('.', '/')}.py", "exec"), module.__dict__)
    run: Callable[..., Any] = module.__dict__["run"]
    return run


FAILS = "def run():\n    {}['x']\n"
CALLS = "def run(inner):\n    return inner()\n"


def test_the_frame_is_the_innermost_of_the_application() -> None:
    library, consumer = in_module("json.decoder", FAILS), in_module("consumers.sms", CALLS)
    error = raised(lambda: consumer(lambda: consumer(library)))
    assert Evidence("KeyError: 'x'", "builtins.KeyError", "consumers/sms.py:2 in run") == gather(error, "consumers")


def test_the_package_of_the_handler_counts_as_the_application() -> None:
    consumer = in_module("shop.orders", FAILS)
    assert "shop/orders.py:2 in run" == gather(raised(consumer), "shop").frame


def test_without_a_frame_of_the_application_ours_is_kept_and_without_ours_the_last(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ours, library = in_module("infra.smtp", CALLS), in_module("library.inner", FAILS)
    error = raised(lambda: ours(library))
    assert error.__traceback__ is not None
    error.__traceback__ = error.__traceback__.tb_next and error.__traceback__.tb_next.tb_next  # without this test's
    assert "infra/smtp.py:2 in run" == gather(error, "elsewhere").frame
    assert error.__traceback__ is not None
    error.__traceback__ = error.__traceback__.tb_next
    while error.__traceback__ is not None and error.__traceback__.tb_frame.f_globals["__name__"] != "library.inner":
        error.__traceback__ = error.__traceback__.tb_next
    assert "library/inner.py:2 in run" == gather(error, "elsewhere").frame


def test_a_frame_of_this_project_is_named_by_its_path_in_it() -> None:
    frame = gather(raised(lambda: int("x")), PACKAGE).frame
    assert str(frame).startswith("tests/infra/test_evidence.py:")
    assert str(frame).endswith(" in <lambda>")


def test_an_error_that_was_never_raised_has_no_frame() -> None:
    assert None is gather(ValueError("x"), PACKAGE).frame


def test_a_frame_is_one_line_and_short() -> None:
    module = ModuleType("consumers.long")
    exec(compile("def run():\n    1 / 0\n", "/x/" + "y\n" * 300 + ".py", "exec"), module.__dict__)
    frame = str(gather(raised(module.__dict__["run"]), "consumers").frame)
    assert (200, one_line(frame)) == (len(frame), frame)


def test_an_effects_error_is_known_by_what_it_met() -> None:
    """A refused recipient and a lost connection are two groups, and `EffectFailed` says neither."""
    unreachable = raised(lambda: Smtp("smtp://127.0.0.1:9").send("me@example.com", ADDRESS, b"x"))
    evidence = gather(unreachable, "consumers")
    assert ("builtins.ConnectionRefusedError", "EffectFailed", "infra/smtp.py") == (
        evidence.exception,
        evidence.text.partition(":")[0],
        str(evidence.frame).partition(":")[0],
    )
    assert "infra.errors.EffectRefused" == gather(EffectRefused("no"), "consumers").exception
    assert "infra.errors.EffectFailed" == gather(EffectFailed("no"), "consumers").exception


def test_an_error_of_our_own_that_is_no_effects_keeps_its_class() -> None:
    error = DatabaseUnavailable("away")
    error.__cause__ = KeyError(ADDRESS)
    assert "infra.errors.DatabaseUnavailable" == gather(error, PACKAGE).exception


@given(st.text(st.characters(codec=None)))
def test_whatever_an_error_says_a_header_a_log_line_and_every_database_take_it(said: str) -> None:
    kept = text_of(ValueError(said))
    assert (kept, []) == (kept.encode().decode(), [character for character in kept if character < " "])
    assert len(kept) <= LONGEST_ERROR
