"""What should be on the broker: by what is recorded in the database, and, where the code is at hand, by that too."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from sqlmodel import Session

from infra.database import audit, consumers, pauses
from infra.database.tables import Subscription as Row
from infra.rabbitmq import topology
from infra.subscriptions import Subscription

#: The action by which the audit knows that a consumer was retired.
RETIRED = "consumer.retire"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Queues by name, and what else is known of consumers."""

    queues: Mapping[str, topology.Queue]
    #: Consumers that should have workers.
    consumers: frozenset[str]
    paused: frozenset[str] = frozenset()
    #: Consumers on their way out: their queues are there until they are empty, and bound to nothing.
    retiring: frozenset[str] = frozenset()
    #: Consumers of the code that the database does not know, or knows with other types or another description.
    unrecorded: frozenset[str] = frozenset()
    #: Consumers of the database that no module subscribes.
    moduleless: frozenset[str] = frozenset()
    #: Consumer -> who retired it, and when.
    retired: Mapping[str, str] = field(default_factory=dict)

    def declared(self) -> list[topology.Consumer]:
        """The consumers' queues in the shape in which they are declared."""
        queues = (self.queues[name] for name in sorted(self.consumers))
        return [(each.name, each.keys, each.arguments["x-description"]) for each in queues]


def wanted(session: Session, recorded: Iterable[Subscription] | None) -> Wanted:
    """What the database wants; what `recorded` says of a consumer comes first. None: the code is not at hand."""
    rows = {row.consumer: row for row in consumers.everyone(session)}
    retiring = frozenset(name for name, row in rows.items() if row.retiring_since is not None)
    known: dict[str, topology.Consumer] = {
        row.consumer: (row.consumer, row.types, row.description) for row in rows.values()
    }
    found = {each.consumer: (each.consumer, each.types, each.description) for each in recorded or ()}
    asked = {name: each for name, each in {**known, **found}.items() if name not in retiring}
    return Wanted(
        queues={queue.name: queue for queue in topology.queues(asked[name] for name in sorted(asked))},
        consumers=frozenset(asked),
        paused=frozenset(pauses.paused(session)),
        retiring=retiring,
        unrecorded=frozenset(name for name in found if name in asked and not _is_recorded(rows.get(name), found[name])),
        moduleless=frozenset(asked) - frozenset(found) if recorded is not None else frozenset(),
        retired=_retired(session),
    )


def _is_recorded(row: Row | None, found: topology.Consumer) -> bool:
    return row is not None and (row.consumer, list(row.types), row.description) == (found[0], list(found[1]), found[2])


def _retired(session: Session) -> dict[str, str]:
    deeds = audit.page(session, audit.Filter(action=RETIRED), before=None, limit=1_000)
    return {deed.target: f"{deed.who} on {deed.at:%Y-%m-%d}" for deed in reversed(deeds)}
