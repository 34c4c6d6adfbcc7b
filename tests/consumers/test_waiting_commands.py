"""`./tidings consumers waiting` and `skip`: the same as over HTTP, for people at a terminal and for programs."""

import json
from typing import Any
from uuid import uuid4

import pytest

from consumers.__main__ import app
from infra import commands
from infra.database.engine import Database
from tests.ordered import LEDGER, Ordered

ADA = uuid4()


@pytest.fixture
def ordered(database: Database, database_url: str, monkeypatch: pytest.MonkeyPatch) -> Ordered:
    """The settings name the test's database."""
    monkeypatch.setenv("TIDINGS_DATABASE_URL", database_url)
    return Ordered(database)


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Any:
    def type_in(*words: str) -> tuple[int, str, str]:
        code = commands.code(app, "./tidings consumers", list(words))
        output, errors = capsys.readouterr()
        return code, output, errors

    return type_in


def test_who_waits_is_shown_with_what_for(ordered: Ordered, run: Any) -> None:
    first, second = ordered.log(ADA, ADA)
    ordered.deliver(first, fails=ConnectionError("away"))
    ordered.deliver(second)
    code, output, _ = run("waiting", LEDGER)
    assert 0 == code
    assert [str(ADA), first.id, "ConnectionError"] == [each for each in output.split() if each in {
        str(ADA), first.id, "ConnectionError",
    }]  # fmt: skip
    (item,) = json.loads(run("waiting", LEDGER, "--subject", str(ADA), "--json")[1])["items"]
    assert (1, first.id) == (item["events"], item["blocked_by"]["event_id"])
    assert "There is nothing." in run("waiting", LEDGER, "--subject", "somebody else")[1]


def test_a_subject_goes_on_without_what_blocks_it(ordered: Ordered, run: Any) -> None:
    first, second = ordered.log(ADA, ADA)
    ordered.deliver(first, fails=ConnectionError("away"))
    ordered.deliver(second)
    code, output, _ = run("skip", LEDGER, "--subject", str(ADA), "--why", "never right")
    assert 0 == code
    assert f"{ADA} goes on without {first.id}: ./tidings dead show " in output
    assert [second.id] == [row.event_id for row in ordered.resent()]


def test_what_is_not_there_is_said_in_one_line(ordered: Ordered, run: Any) -> None:
    for words, text in {
        ("waiting", "nobody"): "No consumer has this name.",
        ("skip", LEDGER, "--subject", "x", "--why", "y"): "No event of this subject waits at this consumer.",
    }.items():
        code, _, errors = run(*words)
        assert (1, 1) == (code, len(errors.splitlines()))
        assert text in errors
