"""A shadow run: one event after the other goes through the handler, and nothing of what it does stays."""

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from infra import rehearsal
from infra.database.engine import Database
from infra.effects import Intent
from infra.errors import DatabaseUnavailable, NotPossible
from infra.mail import compose
from infra.outcomes import Done, Hold, Incoming, Outcome, Park, RetryLater
from infra.rehearsal import MAIL, Capturing, Played, Rehearsal
from infra.settings import Settings
from infra.shadowing import past
from infra.shadowing.comparing import Difference, differences, plain
from infra.shadowing.past import Past, Record
from infra.shadowing.undoing import Undoing
from infra.shadowing.views import Arguments, DifferenceView, EffectView, EventView
from infra.subscriptions import Subscription


class _Refused(Exception):
    """The handler asked for what could not be undone."""


class _Provisions(dict[type, object]):
    """Gives the settings, and nothing that writes."""

    def get(self, kind: type, default: object = None) -> Any:
        if kind not in self:
            raise _Refused(kind.__name__)
        return super().get(kind, default)


class Shadow:
    """Runs one consumer's handler, as it is in this tree."""

    def __init__(self, database: Database, subscription: Subscription, settings: Settings, *, values: bool) -> None:
        """With `values` arguments are shown whole, else only their names."""
        self._database = database
        self._subscription = replace(subscription, ordered=False)
        self._values = values
        self._undoing = Undoing(database)
        templates = rehearsal.templates()
        capturing = Capturing(lambda intent: _render(templates, intent))
        self._rehearsal = Rehearsal(self._undoing, capturing, provisions=_Provisions({Settings: settings}))

    @property
    def longest(self) -> float:
        """Seconds that the database was held for at most."""
        return self._undoing.longest

    def look(self, event: Past) -> EventView:
        """What would happen with it.

        Raises:
            DatabaseUnavailable: the database is away.
            NotPossible: the handler writes in a way that cannot be undone.
        """
        recorded = past.record(self._database, event.event_id, self._subscription.consumer)
        self._undoing.keys = [(event.event_id, self._subscription.consumer)]
        self._undoing.rows.clear()
        incoming = Incoming(event.body.encode(), backfilled_at=datetime.now(UTC))
        (played,) = self._rehearsal.play_in_time(self._subscription, [incoming])
        self._refuse(played)
        return self._view(event, recorded, played)

    def _refuse(self, played: Played) -> None:
        if isinstance(played.error, _Refused):
            raise NotPossible(
                f"{self._subscription.consumer} asks for {played.error}, with which it can do what cannot be undone: "
                "no shadow run of it is possible."
            )
        if isinstance(played.outcome, Hold):
            raise DatabaseUnavailable(played.outcome.error)

    def _view(self, event: Past, recorded: Record, played: Played) -> EventView:
        state, error = _ending(played.outcome)
        found = differences(recorded.effects, played.effects) if recorded.is_through and error is None else []
        return EventView(
            position=event.position,
            event_id=event.event_id,
            type=event.type,
            state=state,
            error=error,
            recorded=recorded.state,
            differences=[self._difference(each) for each in found] if recorded.state is not None else None,
            effects=[EffectView(kind=each.kind, arguments=self._shown(each)) for each in played.effects],
            publishes=[each.type for each, _ in played.context.published] if played.context else [],
            rows=dict(Counter(self._undoing.rows)),
        )

    def _shown(self, intent: Intent) -> Arguments:
        return plain(intent.arguments) if self._values else sorted(intent.arguments)

    def _difference(self, found: Difference) -> DifferenceView:
        arguments = dict(found.arguments) if self._values else sorted(found.arguments)
        return DifferenceView.model_validate({"how": found.how, "kind": found.kind, "arguments": arguments})


def _render(templates: Any, intent: Intent) -> None:
    """A mail that cannot be composed would fail."""
    if intent.kind == MAIL:
        compose(templates, intent)


def _ending(outcome: Outcome) -> tuple[str, str | None]:
    match outcome:
        case RetryLater(error=error):
            return "retrying", error
        case Park(error=error):
            return "dead", error
        case Done(filtered=True):
            return "filtered", None
        case _:
            return "handled", None
