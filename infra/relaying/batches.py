"""Publishing many events at once, and at most one of each subject at a time."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field

from infra.database.outbox import Due
from infra.errors import BrokerUnavailable, PublishRejected, TidingsError
from infra.relaying.trouble import unexpected

#: Publishes one event and returns when it is confirmed.
Send = Callable[[Due], Awaitable[None]]


@dataclass(slots=True)
class Result:
    """How the events of a batch fared; one that is in neither was not tried."""

    confirmed: list[Due] = field(default_factory=list)
    failed: dict[int, tuple[Due, TidingsError]] = field(default_factory=dict)

    @property
    def lost(self) -> BrokerUnavailable | None:
        """Why nothing more can be published on this connection, if that is so."""
        errors = (error for _, error in self.failed.values())
        return next((error for error in errors if isinstance(error, BrokerUnavailable)), None)


async def publish(rows: Sequence[Due], send: Send) -> Result:
    """Start the events in their order; of one subject each waits for the one before, and is left out if that failed."""
    result = Result()
    async with asyncio.TaskGroup() as group:
        for chain in _chains(rows):
            group.create_task(_publish_chain(chain, send, result))
    order = {row.sequence: place for place, row in enumerate(rows)}
    result.confirmed.sort(key=lambda row: order[row.sequence])
    return result


def _chains(rows: Iterable[Due]) -> Iterable[list[Due]]:
    chains: dict[str | int, list[Due]] = {}
    for row in rows:
        chains.setdefault(row.sequence if row.subject is None else row.subject, []).append(row)
    return chains.values()


async def _publish_chain(chain: list[Due], send: Send, result: Result) -> None:
    for row in chain:
        if result.lost is not None:
            return
        try:
            await send(row)
        except TidingsError as error:
            result.failed[row.sequence] = (row, error)
            return
        except Exception as error:  # noqa: BLE001  # a fault of ours, perhaps with this type only: the others go on
            result.failed[row.sequence] = (row, PublishRejected(unexpected(error)))
            return
        result.confirmed.append(row)
