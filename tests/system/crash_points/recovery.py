"""After the crashes: the programs run again, everything drains, and the witnesses are asked."""

from collections import Counter

from tests.system.crash_points.consumers import batches, journal
from tests.system.crash_points.site import CONSUMERS, Site
from tests.waiting import until

#: Seconds: the 5 s of a retry, the 3 s of a dead relay's lease, and a slow machine.
DRAIN = 40.0
#: Looks in a row, some 20 ms each, before a queue counts as empty: an ack waits that long for others to go with it.
LOOKS = 10
#: Who takes the ticks of the clock, and what tells of their silence.
_OF_TICKS, _OF_SILENCES = ("activity-log", batches.CONSUMER), ("activity-log", "silence-alert")


def recover(site: Site) -> None:
    """Run what a whole installation runs, wait until nothing is on its way any more, and check everything."""
    site.run("gateway", "consumers")
    until(lambda: not site.witnesses.outbox() and not site.witnesses.resends(), seconds=DRAIN, what="an empty outbox")
    until(lambda: _settled(site), seconds=DRAIN, what="the end of every delivery")
    until(lambda: _nothing_is_left(site), seconds=DRAIN, what="empty queues")
    check(site)


def check(site: Site) -> None:
    """What was answered is done, once; nothing else is there."""
    seen, accepted = site.witnesses, {person.email: event_id for person, event_id in site.accepted.items()}
    people, ticks = set(accepted.values()), set(seen.runs())
    assert accepted == seen.users()
    assert Counter(people | ticks | set(seen.silences())) == seen.published() == seen.activity()
    assert Counter(_rows_due(site, ticks)) == seen.journal()
    assert _letters(site) == seen.dead_letters()
    assert not seen.unsent()
    _check_mails(site)


def _nothing_is_left(site: Site) -> bool:
    """Looked at when nobody holds a message; what was done and not yet acknowledged by then has another run."""
    site.run("consumers")
    until(lambda: not any(_left(site) for _ in range(LOOKS)), seconds=DRAIN, what="queues without a message")
    site.kill("consumers")
    until(lambda: not site.witnesses.is_anybody_attached(CONSUMERS), what="queues without a consumer")
    return not _left(site)


def _left(site: Site) -> dict[str, int]:
    return site.witnesses.left_on_the_broker(CONSUMERS)


def _check_mails(site: Site) -> None:
    """Each mail once; more often only if the process died while it was on its way, and then with one Message-ID."""
    mails = site.witnesses.mails()
    recipients = Counter(recipient for recipient, _ in mails)
    due = {address for person in site.accepted for address in (person.email, batches.copy_for(person.email))}
    assert Counter(due) == recipients
    assert {} == {key: count for (_, key), count in mails.items() if count > 1 + site.windows[key]}


def _settled(site: Site) -> bool:
    states = site.witnesses.states()
    dead = _hopeless(site)
    deliveries = {(event_id, consumer) for event_id in site.accepted.values() for consumer in CONSUMERS}
    deliveries |= {(event_id, consumer) for event_id in site.witnesses.runs() for consumer in _OF_TICKS}
    deliveries |= {(event_id, consumer) for event_id in site.witnesses.silences() for consumer in _OF_SILENCES}
    return {delivery: "dead" if delivery in dead else "handled" for delivery in deliveries} == states


def _rows_due(site: Site, ticks: set[str]) -> set[tuple[str, str]]:
    events = {*site.accepted.values(), *ticks}
    handled = {(event_id, journal.CONSUMER) for event_id in site.accepted.values()} - _hopeless(site)
    return handled | {(event_id, batches.CONSUMER) for event_id in events}


def _hopeless(site: Site) -> set[tuple[str, str]]:
    return {delivery for delivery, state in _letters(site).items() if state == "waiting"}


def _letters(site: Site) -> dict[tuple[str, str], str]:
    """The dead letters that there must be, with their states; whoever recovers was replayed."""
    states = {journal.HOPELESS: "waiting", journal.RECOVERING: "handled"}
    kinds = {event: person.name.partition(" ")[0] for person, event in site.accepted.items()}
    return {(event, journal.CONSUMER): states[kind] for event, kind in kinds.items() if kind in states}
