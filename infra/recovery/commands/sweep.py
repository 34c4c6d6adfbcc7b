"""`./tidings sweep`: one pass of the sweep now, beside those that the consumers program makes every two seconds."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Annotated

import typer
from pydantic import BaseModel

from infra import logs
from infra.commands import output
from infra.commands.arguments import Json, text
from infra.commands.opened import opened
from infra.commands.output import Columns
from infra.database import consumers, positions
from infra.database.engine import Database
from infra.database.tables import Subscription
from infra.errors import BrokerUnavailable, NotKnown
from infra.rabbitmq.blocking import BlockingPublisher
from infra.recovery.queues import Queues
from infra.recovery.sweeping import Sweeping, Swept
from infra.settings import Settings, load

#: Seconds that RabbitMQ has to say what waits in its queues.
_ANSWER = 15.0
Name = Annotated[str | None, typer.Option(parser=text, metavar="NAME", help="This one alone.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say what is lost.")]


class SweepView(BaseModel):
    """Where a consumer stands after a pass, and what the pass found."""

    consumer: str
    settled: int
    last: int
    lag_events: int
    lag_seconds: float
    #: Neither settled nor anywhere on its way; with an empty queue that may be at work for longer than usual, too.
    lost: int
    #: Of these, sent again now.
    sent: int
    #: Sent again in all.
    resent: int


def sweep(consumer: Name = None, dry_run: DryRun = False, as_json: Json = False) -> None:
    """Find events that were lost on their way to their consumers, and send them again.

    Deleted queues and bindings are made again first. What is sent twice is handled once.
    """
    settings = load()
    logs.configure(settings, program="sweep")
    with opened() as database:
        rows = _chosen(database, consumer)
        with _looked(settings, database) as queues:
            grace = timedelta(seconds=settings.sweep_grace)
            sweeping = Sweeping(database, queues, grace=grace, patience=lambda _: timedelta(0))
            found = [_swept(sweeping, row.consumer, lambda name: _chosen(database, name)[0], dry_run) for row in rows]
        with database.reading() as session:
            standing = positions.standing(session)
    views = [_view(each, standing[each.consumer]) for each in found]
    output.page(_SWEPT, views, max(1, len(views)), lambda each: each.consumer, as_json=as_json)


def _chosen(database: Database, consumer: str | None) -> list[Subscription]:
    with database.reading() as session:
        rows = [row for row in consumers.declared(session) if consumer in {None, row.consumer}]
    if consumer is not None and not rows:
        raise NotKnown(f"There is no consumer {consumer!r}: ./tidings consumers list shows all.")
    return rows


@contextmanager
def _looked(settings: Settings, database: Database) -> Iterator[Queues]:
    """What is known of the queues; without a broker that is only what has been written down."""
    publisher = BlockingPublisher(settings.rabbitmq, name="sweep")
    try:
        queues = Queues(database, publisher)
        try:
            queues.look_now(_chosen(database, None), _ANSWER)
        except BrokerUnavailable as error:
            typer.echo(f"tidings: {error} So nobody knows which queues are empty.", err=True)
        yield queues
    finally:
        publisher.close()


def _swept(sweeping: Sweeping, consumer: str, fresh: Callable[[str], Subscription], dry_run: bool) -> Swept:
    """Passes over one consumer until the whole log is looked at, or as much is sent as may wait at once."""
    sent, row = 0, fresh(consumer)
    while True:
        swept = sweeping.sweep(row, dry_run=dry_run)
        sent, before, row = sent + swept.sent, row.scanned, fresh(consumer)
        if not swept.more or (swept.sent == 0 and row.scanned == before):
            return Swept(consumer, max(swept.lost, sent), sent)
        typer.echo(f"{consumer}: looked at the log up to {row.scanned}, sent {sent}", err=True)


def _view(swept: Swept, standing: positions.Standing) -> SweepView:
    figures = {name: getattr(standing, name) for name in ("settled", "last", "lag_events", "resent")}
    lag_seconds = round(standing.lag_seconds, 1)
    return SweepView(consumer=swept.consumer, lost=swept.lost, sent=swept.sent, lag_seconds=lag_seconds, **figures)


_SWEPT: Columns[SweepView] = {
    "consumer": lambda each: each.consumer,
    "settled": lambda each: each.settled,
    "of": lambda each: each.last,
    "lag": lambda each: each.lag_events,
    "seconds": lambda each: each.lag_seconds,
    "lost": lambda each: each.lost,
    "sent": lambda each: each.sent,
    "sent in all": lambda each: each.resent,
}
