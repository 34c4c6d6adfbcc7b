"""The consumers: each module here is one, found by itself; `work` puts the program together for Dramatiq's CLI."""

import secrets
from contextlib import ExitStack, suppress
from pathlib import Path

import structlog

from infra import discovery, effects, faults, logs, metrics, probes
from infra.backfilling.working import Backfilling
from infra.database import consumers as declared_consumers
from infra.database.engine import Database, connect
from infra.database.migrations import require_current
from infra.database.readiness import Readiness
from infra.delivery import Deliveries
from infra.discovery import Found
from infra.errors import BrokerUnavailable, TidingsError, TopologyConflict
from infra.failing import Failing
from infra.jobs import composing as doing_jobs
from infra.jobs import storing
from infra.jobs.attaching import Attachments
from infra.jobs.kinds import Runner
from infra.jobs.reconciling import Reconciling
from infra.mail import Fetch, Mailer, Templates, no_files
from infra.pausing import Pausing
from infra.rabbitmq import places
from infra.rabbitmq.attaching import here
from infra.rabbitmq.blocking import BlockingPublisher, Consumer
from infra.rabbitmq.broker import TidingsBroker
from infra.rabbitmq.signs import Hearing, Telling
from infra.recovery import composing, keeping
from infra.recovery.duties import Duties, Duty
from infra.recovery.keeping import Keeper
from infra.recovery.retirement import Retirement
from infra.relaying import emptying
from infra.schedules.silence import Silence
from infra.settings import Settings, load
from infra.smtp import Smtp
from infra.standing_back import stand_back
from infra.subscriptions import recorded
from infra.watching.checks import Checks

_log = structlog.get_logger(__name__)
#: Seconds that deliveries in flight have when the program stops.
GRACE = 4.0
TEMPLATES = Path(__file__).parent / "templates"


def discover(settings: Settings | None = None) -> Found:
    """Import every module of this folder, and of the further packages that the settings name."""
    return discovery.discover((__name__, *(settings or load()).further_consumers))


def check(settings: Settings) -> None:
    """Find out, before worker processes are started, what would keep them from working.

    Raises:
        ConfigurationError: the database is not migrated, an address is missing or wrong, or the port of the probes is
            taken.
        DatabaseUnavailable: the database is away.
    """
    _ = settings.rabbitmq, _mailer(settings)
    probes.require_free(settings.probe_port)
    database = connect(settings.database)
    try:
        require_current(database)
    finally:
        database.close()
    if settings.operator is None:
        _log.warning("alerts and reports go to nobody: set TIDINGS_OPERATOR_EMAIL")


def declare(settings: Settings) -> list[str]:
    """Record every consumer and declare its queue; gives their names. The gateway may start when this is through.

    Raises:
        ConfigurationError: the database is not migrated, or an address is missing.
        DatabaseUnavailable: the database is away.
        BrokerUnavailable: RabbitMQ is; the consumers are recorded, and the relay will declare their queues.
    """
    _report(discover(settings))
    with ExitStack() as stack:
        database = connect(settings.database)
        stack.callback(database.close)
        _record(database)
        publisher = BlockingPublisher(settings.rabbitmq, name="declare")
        stack.callback(publisher.close)
        _declare(publisher, database)
    return [subscription.consumer for subscription in recorded()]


def work() -> None:
    """Put together what handles events: every consumer but the kinds of jobs, and the duties.

    Called by Dramatiq in each worker process, as in `dramatiq consumers:work`.
    """
    _begin("consumers", jobs=False)


def work_on_jobs() -> None:
    """Put together what does jobs, and nothing else, and stands back behind all other processes."""
    _begin("jobs", jobs=True)


def _begin(program: str, *, jobs: bool) -> None:
    settings = load()
    logs.configure(settings, program=program)
    try:
        faults.arm(settings.fault)
        _compose(settings, program, jobs=jobs)
        if jobs:
            stand_back(settings.job_niceness)
    except TidingsError as error:
        _log.critical(f"{program} cannot start", error=str(error))
        raise SystemExit(1) from None


def _compose(settings: Settings, program: str, *, jobs: bool) -> None:
    found = discover(settings)
    _report(found)
    database = connect(settings.database)
    _record(database)
    publisher = BlockingPublisher(settings.rabbitmq, name=f"{program} publisher")
    broker = TidingsBroker(
        settings.rabbitmq,
        publish=publisher.publish,
        redeclare=lambda: _declare(publisher, database),
        name=f"tidings {program}",
        grace=GRACE,
    )
    broker.on_outcome = _count
    mine = [each for each in recorded() if (each.job is not None) is jobs]
    deliveries = _deliveries(settings, database, publisher, broker)
    for subscription in mine:
        broker.attach(subscription, deliveries.handler(subscription))
    with suppress(BrokerUnavailable):  # each lane asks for its queue again, until it is there
        _declare(publisher, database)
    holder = f"{program} {here()} {secrets.token_hex(4)}"
    if not jobs:
        broker.attach(keeping.subscription(), Keeper(database).keep)
        broker.accompany(Duties(database, _duties(settings, database, publisher), holder=holder))
    pausing = Pausing(database, broker, mine, holder=holder)
    pausing.look()  # before the first message is taken
    broker.accompany(pausing)
    broker.install()
    port = _answer_probes(settings, broker, database, lambda: found.ignored | pausing.paused)
    _log.info(f"{program} ready to start", consumers=len(mine), threads=broker.threads, probes=port)


def _deliveries(
    settings: Settings, database: Database, publisher: BlockingPublisher, broker: TidingsBroker
) -> Deliveries:
    fetch = Attachments(database, storing.store(settings.results)).fetch
    performers = {**effects.performers(), "mail": _mailer(settings, fetch).perform}
    checks = Checks(database, publisher, Smtp(settings.smtp), broker_was_away=lambda: broker.was_away)
    running = doing_jobs.running(database, settings, is_stopping=lambda: broker.is_stopping)
    return Deliveries(
        database,
        performers,
        provisions={Settings: settings, Database: database, Checks: checks, Runner: running},
        failing=Failing(database, running.failed),
        owner=running.owner,
        is_stopping=lambda: broker.is_stopping,
    )


def _duties(settings: Settings, database: Database, publisher: BlockingPublisher) -> dict[str, Duty]:
    grace = settings.sweep_grace
    duties = composing.duties(database, publisher, recorded(), grace=grace)
    duties["silence"] = Silence(database)
    duties["retirement"] = Retirement(database, publisher, [each.consumer for each in recorded()], grace=grace)
    duties["jobs"] = Reconciling(database)
    duties["backfills"] = Backfilling(database, grace=grace)
    return duties


def _declare(publisher: BlockingPublisher, database: Database) -> None:
    try:
        publisher.declare(_topology(database))
    except TopologyConflict as error:  # all the rest is declared, and the old queue works as it did
        _log.warning("topology conflict", error=str(error))
    finally:
        emptying.write_down_now(database, publisher.made)


def _mailer(settings: Settings, fetch: Fetch = no_files) -> Mailer:
    return Mailer(settings.smtp, sender=settings.mail_from, templates=Templates(TEMPLATES), fetch=fetch)


def _record(database: Database) -> None:
    require_current(database)
    with database.transaction() as session:
        new = declared_consumers.declare(session, recorded())
    for name in new:
        _log.info("new consumer recorded", consumer=name)


def _topology(database: Database) -> list[Consumer]:
    """Those of ours that are recorded: one that leaves, or is gone, must not be made again."""
    with database.reading() as session:
        names = {row.consumer for row in declared_consumers.declared(session)}
    return [(each.consumer, each.types, each.description) for each in recorded() if each.consumer in names]


def _answer_probes(settings: Settings, broker: TidingsBroker, database: Database, notes: probes.Ready) -> int:
    """The first process answers for all, where the settings say; each other one for itself, at any free port."""
    place, stored = places.here(), Readiness(database)

    def ready() -> dict[str, str]:
        return _problems(broker) | stored.problems()

    if place.says is None:
        others = Hearing(place)
        broker.accompany(others)
        return probes.serve(
            lambda: ready() | others.problems, port=settings.probe_port, notes=lambda: notes() | others.notes
        ).server_port
    broker.accompany(Telling(place.says, lambda: (ready(), notes())))
    return probes.serve(ready, port=0, notes=notes).server_port


def _problems(broker: TidingsBroker) -> dict[str, str]:
    metrics.CONNECTED.labels("consumers").set(broker.connected)
    missing = {name for name, attached in broker.attached.items() if not attached} - broker.paused
    return dict.fromkeys(sorted(missing), "not attached to its queue")


def _count(consumer: str, outcome: str, _seconds: float) -> None:
    metrics.DELIVERIES.labels(consumer, outcome).inc()


def _report(found: Found) -> None:
    for module, reason in found.ignored.items():
        _log.error("consumer module ignored", module=module, reason=reason)
