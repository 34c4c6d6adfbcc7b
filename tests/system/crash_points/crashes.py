"""How the programs are made to die, and what is looked at between the first death and the next start."""

from collections.abc import Callable, Sequence
from contextlib import suppress

from infra.rabbitmq.topology import DEAD_LETTERS
from tests.system.crash_points import timed
from tests.system.crash_points.consumers import batches, journal
from tests.system.crash_points.points import Point
from tests.system.crash_points.recovery import DRAIN, recover
from tests.system.crash_points.site import CONSUMERS, Person, Site
from tests.waiting import until

#: What a gap and an order come to, whatever dies: one run each, and one row that tells of the gap.
_DECIDED: timed.Seen = ([("fired", "missed")], [(timed.HOURS, 1)])
_ORDERED: timed.Seen = ([("fired", "manual")], [])
#: Whose queue shows what the relay published.
_ANY = CONSUMERS[0]


def die_in_the_gateway(site: Site, point: Point, times: int) -> None:
    """With the consumers stopped, so that their queues show what was published."""
    people = site.people(point.kind, 2 * times - 1)
    site.kill("consumers")
    for time in range(times):
        site.crash("gateway", point.fault, lambda: site.try_to_register(*people))
        if (time, times) == (0, 1):
            _look(point, lambda: _left_by_the_gateway(site, people[0]))
    site.run("gateway")
    site.register(*people)
    recover(site)


def die_delivering(site: Site, point: Point, times: int) -> None:
    """With the messages waiting when the consumers start."""
    people = site.people(point.kind, 2 * times - 1)
    wait_for_consumers(site, *people)
    for time in range(times):
        site.crash("consumers", point.fault)
        if (time, times) == (0, 1):
            _look(point, lambda: _left_by_the_consumers(site, point, people[0]))
    recover(site)


def die_resending(site: Site, point: Point, times: int) -> None:
    """With dead letters that are replayed while nobody consumes, so that the queue shows what was sent."""
    people = site.people(point.kind, 2 * times - 1)
    _have_replayed(site, people)
    for time in range(times):
        site.crash("gateway", point.fault)
        if (time, times) == (0, 1):
            _look(point, lambda: {"resends": site.witnesses.resends(), "waiting": site.witnesses.waiting(point.at)})
    recover(site)


def die_replaying(site: Site, point: Point) -> None:
    """With dead letters that are in their consumer's queue again."""
    people = site.people(point.kind, 1)
    _have_replayed(site, people)
    site.run("gateway")
    until(lambda: site.witnesses.resends() == 0, what="the sending of the replay")
    site.crash("consumers", point.fault)
    _look(point, lambda: _left_by_the_consumers(site, point, people[0]))
    recover(site)


def wait_for_consumers(site: Site, *people: Person) -> None:
    """Register people whose messages then wait, as no consumers run."""
    site.kill("consumers")
    site.run("gateway")
    site.register(*people)
    until(lambda: not site.witnesses.outbox(), what="the publishing of all")


def die_at_the_clock(site: Site, point: Point, times: int) -> None:
    """With a clock that ticks each second; its events are published and consumed meanwhile."""
    site.run("gateway", "consumers")
    for time in range(times):
        before = set(site.witnesses.runs())
        site.crash("scheduler", point.fault)
        if (time, times) == (0, 1):
            _look(point, lambda: {"fired": bool(set(site.witnesses.runs()) - before)})  # noqa: B023  # called at once
    before = set(site.witnesses.runs())
    site.run("scheduler")
    until(lambda: set(site.witnesses.runs()) - before, what="the next tick")
    site.kill("scheduler")
    recover(site)


def die_catching_up(site: Site, point: Point, times: int) -> None:
    """With a gap to decide, and again with a run that was ordered; what is committed is not come by once more."""
    site.run("gateway", "consumers")
    names = []
    for ask in (timed.owe, timed.order):
        names.append(ask(site.database))
        for _ in range(1 if point.left["fired"] else times):
            site.crash("scheduler", f"{point.name}@{names[-1]}")
    gap, order = names
    site.run("scheduler")
    until(lambda: timed.seen(site.database, gap) == _DECIDED, what="the end of the gap")
    until(lambda: timed.seen(site.database, order) == _ORDERED, what="the run")
    site.kill("scheduler")
    timed.end(site.database, gap, order)
    recover(site)
    assert (_DECIDED, _ORDERED) == (timed.seen(site.database, gap), timed.seen(site.database, order))


def await_dead_letters(site: Site, people: Sequence[Person]) -> None:
    """Wait until these registrations are given up, and kept."""
    deliveries = {(site.accepted[person], journal.CONSUMER) for person in people}
    until(lambda: deliveries <= set(site.witnesses.dead_letters()), seconds=DRAIN, what="the dead letters")


def _have_replayed(site: Site, people: Sequence[Person]) -> None:
    site.run("gateway", "consumers")
    site.register(*people)
    await_dead_letters(site, people)
    site.kill("consumers", "gateway")
    site.replay(*people)


def _look(point: Point, look: Callable[[], dict[str, object]]) -> None:
    """The broker needs a moment to see that a connection is gone."""
    with suppress(AssertionError):
        until(lambda: point.left.items() <= look().items(), seconds=20)
    seen = look()
    assert point.left == {fact: seen[fact] for fact in point.left}


def _left_by_the_gateway(site: Site, person: Person) -> dict[str, object]:
    event_id = site.witnesses.users().get(person.email)
    return {
        "user": event_id is not None,
        "outbox": event_id in site.witnesses.outbox(),
        "published": event_id in site.witnesses.published(),
        "waiting": site.witnesses.waiting(_ANY),
    }


def _left_by_the_consumers(site: Site, point: Point, person: Person) -> dict[str, object]:
    seen, delivery = site.witnesses, (site.accepted[person], point.at)
    keys = [key for (recipient, key) in seen.mails() if recipient == _address(person, point.at)]
    return {
        "journal": seen.journal()[delivery],
        "state": seen.states().get(delivery),
        "mails": len(keys),
        "unsent": delivery in seen.unsent().values(),
        "waiting": seen.waiting(point.at),
        "tiers": seen.in_tiers(),
        "letter": seen.dead_letters().get(delivery),
        "letters": len({delivery} & set(seen.dead_letters())),
        "given up": seen.waiting(DEAD_LETTERS),
    }


def _address(person: Person, consumer: str) -> str:
    return batches.copy_for(person.email) if consumer == batches.CONSUMER else person.email
