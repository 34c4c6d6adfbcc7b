"""What became of all registrations, counted at the end from what the witnesses have, for each phase."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import and_, func, select

from infra.database.recovery_tables import DeadLetter
from infra.database.tables import Activity, ScheduleRun, User, table
from tests.drill import journal, witnesses, working
from tests.drill.consumers.journal import CONSUMER
from tests.drill.load import Registration
from tests.drill.mails import Copy
from tests.drill.phases import Phase, at
from tests.drill.running import Drill
from tests.drill.stage import Stage
from tests.drill.stepped import STEPS, DrillStepped
from tests.drill.witnesses import MAILING

_USERS, _LINES, _LETTERS, _RUNS = table(User), table(Activity), table(DeadLetter), table(ScheduleRun)
#: Rows that one registration must lead to, in the journal and in the activity log.
ROWS = 1 + STEPS


@dataclass(slots=True)
class Tally:
    """The figures of one phase."""

    accepted: int = 0
    #: Registrations that were never answered, though repeated.
    indeterminate: int = 0
    #: Tries, in the whole phase, that did not end in a 2xx.
    refused: int = 0
    lost: int = 0
    #: Rows too many.
    double_rows: int = 0
    #: Mails too many: where SMTP leaves it open, and elsewhere.
    double_mails: int = 0
    wrong_mails: int = 0
    parked: int = 0
    out_of_order: int = 0


@dataclass(slots=True)
class Counts:
    """All phases' figures, and what belongs to none: in words."""

    tallies: dict[int, Tally] = field(default_factory=lambda: defaultdict(Tally))
    strange: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Found:
    """What the database has."""

    #: User id -> event id, address and the moment (time.time()).
    users: dict[str, tuple[str, str, float]]
    journal: Sequence[Any]
    #: Subject -> lines in the activity log.
    lines: Counter[str]
    letters: Sequence[Any]
    #: Given up by a consumer, and not kept as a dead letter.
    unkept: int
    #: Events of the scheduler, up to the end of the load, without a line in the activity log.
    unheard: int


def count(stage: Stage, drill: Drill) -> Counts:
    """Look at everything once more."""
    found, counts, phases = _find(stage, drill.ended), Counts(), drill.phases
    people = _people(stage, found, phases)
    mails = drill.witnesses.mails
    mails.look()
    _count_answers(stage, phases, counts)
    _count_losses(people, found, mails.taken, counts)
    _count_journal(found.journal, phases, counts)
    _count_mails(mails.taken, phases, counts)
    for letter in found.letters:
        counts.tallies[at(phases, letter.first_failed_at.timestamp()).index].parked += 1
    emails = {email for _, email, _ in found.users.values()}
    counts.strange += _strange(found, mails.taken.keys() - emails)
    counts.strange += working.wrong(stage.database, found.users)
    parked = sum(letter.reason == "not-json" for letter in found.letters)
    if parked != stage.hostile:
        counts.strange.append(f"{parked} dead letters of {stage.hostile} deliveries that were no event")
    return counts


def _find(stage: Stage, upto: float) -> Found:
    with stage.database.reading() as session:
        run = session.connection().execute
        users = run(select(_USERS.c.id, _USERS.c.event_id, _USERS.c.email, _USERS.c.registered_at)).all()
        of_people = _LINES.c.type.in_(("user.registered", DrillStepped.TYPE))
        lines = run(select(_LINES.c.subject, func.count()).where(of_people).group_by(_LINES.c.subject)).all()
        columns = [_LETTERS.c[name] for name in ("event_id", "consumer", "reason", "state", "first_failed_at")]
        fired = and_(_RUNS.c.state == "fired", _RUNS.c.due_at <= datetime.fromtimestamp(upto, UTC))
        unheard = select(func.count()).where(fired, _RUNS.c.event_id.not_in(select(_LINES.c.event_id)))
        return Found(
            {row.id: (row.event_id, row.email, row.registered_at.timestamp()) for row in users},
            journal.rows(stage.database, CONSUMER),
            Counter({row[0]: row[1] for row in lines}),
            run(select(*columns)).all(),
            witnesses.unkept(session),
            run(unheard).scalar_one(),
        )


def _people(stage: Stage, found: Found, phases: list[Phase]) -> dict[str, tuple[int, str, str]]:
    """User id -> phase, event and address of everybody whom a client was told of, or the database knows."""
    accepted = {one.user_id: (one.phase, one.event_id, one.email) for one in stage.load.so_far()}
    untold = {
        user: (at(phases, moment).index, event, email)
        for user, (event, email, moment) in found.users.items()
        if user not in accepted
    }
    return accepted | untold


def _count_answers(stage: Stage, phases: list[Phase], counts: Counts) -> None:
    def number(registrations: Iterable[Registration]) -> Counter[int]:
        return Counter(one.phase for one in registrations)

    accepted, never = number(stage.load.so_far()), number(stage.load.open.values())
    for phase in phases:
        tally = counts.tallies[phase.index]
        tally.accepted, tally.indeterminate = accepted[phase.index], never[phase.index]
        tally.refused = stage.load.answers[phase.index].refused


def _count_losses(
    people: dict[str, tuple[int, str, str]], found: Found, mails: dict[str, list[Copy]], counts: Counts
) -> None:
    steps: dict[str, set[int]] = defaultdict(set)
    for row in found.journal:
        steps[row.subject].add(row.number)
    parked = {(letter.event_id, letter.consumer) for letter in found.letters if letter.state != "handled"}
    for user, (phase, event, email) in people.items():
        mailed = email in mails or (event, MAILING) in parked
        known = found.users.get(user, ("", "", 0.0))[:2] == (event, email)
        whole = known and mailed and len(steps[user]) == ROWS and found.lines[user] >= ROWS
        counts.tallies[phase].lost += not whole


def _count_journal(rows: Sequence[Any], phases: list[Phase], counts: Counts) -> None:
    seen: set[tuple[str, int]] = set()
    for row in rows:
        counts.tallies[at(phases, row.at).index].double_rows += (row.subject, row.number) in seen
        seen.add((row.subject, row.number))
    for row in journal.out_of_order(rows):
        counts.tallies[at(phases, row.at).index].out_of_order += 1


def _count_mails(mails: dict[str, list[Copy]], phases: list[Phase], counts: Counts) -> None:
    """A double counts where its first copy came: there the sender did not learn of its 250, or could not write it."""
    for copies in mails.values():
        if len(copies) == 1:
            continue
        phase = at(phases, copies[0].at)
        allowed = phase.fault is not None and phase.fault.mails_may_double
        same = len({copy.message_id for copy in copies}) == 1
        tally = counts.tallies[phase.index]
        tally.double_mails += len(copies) - 1
        tally.wrong_mails += 0 if allowed and same else len(copies) - 1


def _strange(found: Found, recipients: set[str]) -> list[str]:
    subjects = {row.subject for row in found.journal} - found.users.keys()
    lines = {subject: number for subject, number in found.lines.items() if number > ROWS}
    things = {
        "mails to people who never registered": len(recipients),
        "subjects in the journal that nobody is": len(subjects),
        "people with too many lines in the activity log": len(lines),
        "events given up and not kept as dead letters": found.unkept,
        "timed events without their line in the activity log": found.unheard,
    }
    return [f"{number} {what}" for what, number in things.items() if number]
