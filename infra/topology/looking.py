"""A look at the broker and the database: what is wanted, what is there, and how they differ."""

from collections.abc import Iterable
from dataclasses import dataclass

from infra.database.engine import Database
from infra.rabbitmq.management import Management, Present
from infra.subscriptions import Subscription
from infra.topology.comparing import Difference, differences
from infra.topology.wanting import Wanted, wanted


@dataclass(frozen=True, slots=True)
class Looked:
    """What a look has shown."""

    wanted: Wanted
    present: Present
    differences: list[Difference]

    @property
    def differs(self) -> bool:
        """Whether the broker is not as it should be."""
        return any(each.counts for each in self.differences)


def look(database: Database, management: Management, recorded: Iterable[Subscription] | None) -> Looked:
    """Look once; `recorded` is what the code subscribes, None where it is not at hand.

    Raises:
        BrokerUnavailable: the management API does not answer.
        ConfigurationError: it is not let in.
        DatabaseUnavailable: the database is away.
    """
    with database.reading() as session:
        want = wanted(session, recorded)
    present = management.present()
    return Looked(want, present, differences(want, present))
