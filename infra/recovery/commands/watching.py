"""Waiting for the end of an operation, or of the replay of one letter."""

from datetime import UTC, datetime

from infra.commands import output
from infra.commands.watching import Look, watch
from infra.database.engine import Database
from infra.database.recovery_tables import Operation
from infra.recovery import replaying
from infra.recovery.letters import find
from infra.recovery.views import LetterView, OperationView


def follow(database: Database, begun: Operation, does: str, *, wait: bool, as_json: bool) -> int:
    """Tell of an operation that has just begun, or wait for it as `operation` does; `does` says what it does."""
    if wait:
        return operation(database, begun.id, as_json=as_json)
    line = f"Operation {begun.id} {does}: ./tidings operations show {begun.id}"
    output.done(OperationView.of(begun), line, as_json=as_json)
    return 0


def operation(database: Database, operation_id: str, *, as_json: bool) -> int:
    """Wait for an operation; gives the exit code, 0 when it is done and nothing failed."""

    def look() -> Look:
        with database.reading() as session:
            view = OperationView.of(replaying.find_operation(session, operation_id))
        line = f"{view.state}: {view.handled + view.failed} of {view.total} ended, {view.failed} failed; {view.message}"
        is_well = view.state == "done" and not view.failed
        return Look(line, view, view.finished_at is not None, is_well, view.updated_at)

    return watch(look, f"./tidings operations stop {operation_id} stops it.", as_json)


def letter(database: Database, letter_id: str, *, as_json: bool) -> int:
    """Wait for the replay of one letter; gives the exit code, 0 when it is handled."""
    since = datetime.now(UTC)

    def look() -> Look:
        with database.reading() as session:
            view = LetterView.model_validate(find(session, letter_id))
        line = {"replaying": "on its way", "handled": "handled", "waiting": "failed again, and waits"}.get(view.state)
        return Look(line or view.state, view, view.state != "replaying", view.state == "handled", since)

    return watch(look, f"./tidings dead show {letter_id} says how it ends.", as_json)
