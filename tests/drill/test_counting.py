"""What a drill calls lost, double and wrong: shown on journals, mails and phases made by hand."""

from collections import Counter
from random import Random
from types import SimpleNamespace
from typing import Any

import pytest

from infra.database.engine import Database
from infra.errors import ConfigurationError
from tests.drill import catalogue, journal, working
from tests.drill.counting import Counts, Found, Tally, _count_journal, _count_losses, _count_mails, _strange
from tests.drill.faults.programs import Killed
from tests.drill.mails import Copy
from tests.drill.phases import Phase, at
from tests.drill.report import Report
from tests.drill.verdict import rows
from tests.mailbox import Answer


def phases() -> list[Phase]:
    calm = Phase(0, "(none)", None, began=100.0)
    return [calm, Phase(1, "consumers-kill", Killed("consumers"), began=200.0)]


def step(number: int, subject: str = "ada", moment: float = 150.0, attempt: int = 1) -> Any:
    return SimpleNamespace(subject=subject, number=number, at=moment, attempt=attempt)


def found(*steps: Any, lines: int = 4, users: tuple[str, ...] = ("ada",)) -> Found:
    return Found({user: (f"e-{user}", f"{user}@x", 150.0) for user in users}, steps, Counter(ada=lines), (), 0, 0)


def lost(database: Found, mails: dict[str, list[Copy]]) -> int:
    counts = Counts()
    _count_losses({"ada": (0, "e-ada", "ada@x")}, database, mails, counts)
    return counts.tallies[0].lost


def mail(moment: float, message_id: str = "<1@x>") -> Copy:
    return Copy(moment, message_id, Answer.ACCEPT)


def mails(*copies: Copy) -> dict[int, Tally]:
    counts = Counts()
    _count_mails({"ada@x": list(copies)}, phases(), counts)
    return counts.tallies


def test_a_phase_lasts_until_the_next_begins() -> None:
    assert [0, 0, 1, 1] == [at(phases(), moment).index for moment in (50, 199.9, 200, 999)]


def test_who_has_all_rows_and_a_mail_is_not_lost() -> None:
    assert 0 == lost(found(*map(step, range(4))), {"ada@x": [mail(150)]})


@pytest.mark.parametrize(
    ("database", "taken"),
    [
        (found(*map(step, range(4))), {}),
        (found(*map(step, range(3))), {"ada@x": [mail(150)]}),
        (found(*map(step, range(4)), lines=3), {"ada@x": [mail(150)]}),
        (found(*map(step, range(4)), users=()), {"ada@x": [mail(150)]}),
    ],
    ids=["no mail", "a step is missing", "a line is missing", "not a user"],
)
def test_who_lacks_anything_is_lost(database: Found, taken: dict[str, list[Copy]]) -> None:
    assert 1 == lost(database, taken)


def test_a_second_row_counts_where_it_was_written() -> None:
    counts = Counts()
    _count_journal([step(0), step(1), step(1, moment=250)], phases(), counts)
    assert (0, 1) == (counts.tallies[0].double_rows, counts.tallies[1].double_rows)


def test_a_later_number_first_is_out_of_order_unless_the_other_was_retried() -> None:
    assert 1 == len(journal.out_of_order([step(0), step(2), step(1), step(3)]))
    assert [] == journal.out_of_order([step(1), step(0, attempt=2), step(2), step(0, subject="bob")])


def test_a_double_mail_is_wrong_outside_the_window_and_inside_with_another_message_id() -> None:
    assert (1, 1) == (mails(mail(150), mail(260))[0].double_mails, mails(mail(150), mail(260))[0].wrong_mails)
    assert (1, 0) == (mails(mail(210), mail(260))[1].double_mails, mails(mail(210), mail(260))[1].wrong_mails)
    assert 1 == mails(mail(210), mail(260, "<2@x>"))[1].wrong_mails


def test_effects_of_nobody_are_told() -> None:
    assert ["1 mails to people who never registered", "1 subjects in the journal that nobody is"] == _strange(
        found(step(0, subject="bob")), {"eve@x"}
    )


def test_the_report_says_what_is_wrong_with_which_fault() -> None:
    drilled, counts = phases(), Counts()
    counts.tallies[1] = Tally(accepted=1200, lost=2)
    drilled[1].recovery = 31.0
    report = Report(7, {"Tidings": "0.1.0"}, 25.0, rows(drilled, counts), ["poison"], [])
    table = report.table()
    assert not report.is_good
    assert "WRONG: consumers-kill: 2 lost" in table
    assert "WRONG: consumers-kill: not recovered within 30 s" in table
    assert "No time for: poison" in table
    assert "1,200" in table
    assert report.as_json()["faults"][1]["lost"] == 2


def test_the_seed_decides_the_order_and_an_unknown_fault_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="No fault nonsense on sqlite"):
        catalogue.chosen(["nonsense"], "sqlite", Random(1))
    orders = [[fault.name for fault in catalogue.chosen([], "sqlite", Random(seed))] for seed in (1, 1, 2)]
    assert orders[0] == orders[1] != orders[2]
    assert {"database-restart", "database-kill"} == catalogue.faults("postgresql").keys() - set(orders[0])


def test_the_journal_keeps_a_second_row_of_the_same_event(database: Database) -> None:
    journal.create(database)
    row = {"event_id": "e", "consumer": "c", "subject": "ada", "number": 0, "attempt": 1, "at": 1.0}
    with database.transaction() as session:
        session.connection().execute(journal.ADD, [{**row, "number": number} for number in (0, 0, 1)])
    assert [0, 0, 1] == [each.number for each in journal.rows(database, "c")]
    with database.reading() as session:
        assert {"ada": 2} == journal.count_by_subject(session.connection(), ["ada", "bob"])


def test_jobs_that_did_not_end_and_steps_that_doubled_are_told() -> None:
    rows = [step(number, subject=job) for job in ("whole", "doubled") for number in range(working.STEPS)]
    whole = dict.fromkeys(("whole", "doubled"), "succeeded")
    assert [] == working.judged(whole, rows, 2)
    jobs = {**whole, "left": "running", "empty": "succeeded", "bad": "failed"}
    assert [
        "1 jobs lost or too many",
        "1 jobs that did not end",
        "1 jobs that ended badly",
        "1 jobs that succeeded without all of their steps",
        "1 steps of jobs twice",
    ] == working.judged(jobs, [*rows, step(0, subject="doubled")], 6)
