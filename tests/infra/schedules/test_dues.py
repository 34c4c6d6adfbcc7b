"""What all kinds of trigger promise: due times in UTC, in order, each once, whichever way they are asked for."""

from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise
from zoneinfo import ZoneInfo

from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from infra import zones
from infra.schedules.triggers import Cron, Daily, Every, read
from infra.schedules.wall_clock import _first_change

DAY = timedelta(days=1)
#: Half-hour changes, changes at midnight, a day that never was, two offsets a year that swap names, Ramadan.
ODD = ["Australia/Lord_Howe", "Asia/Beirut", "America/Santiago", "Africa/Cairo", "Pacific/Apia", "Europe/Dublin"]
ODDER = ["Africa/Casablanca", "America/Nuuk", "America/Scoresbysund", "Antarctica/Troll", "Antarctica/Casey", "UTC"]
names = st.sampled_from([*ODD, *ODDER, "Europe/Berlin"]) | st.sampled_from(sorted(zones.names().values()))


@st.composite
def moments(draw: st.DrawFn, zone: str) -> datetime:
    """Any moment of a century; half of them within two days of a change of the zone's clocks."""
    start = draw(st.datetimes(datetime(1990, 1, 1), datetime(2090, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001
    if draw(st.booleans()) and (change := _first_change(ZoneInfo(zone), start, start + 300 * DAY)):
        return change.at + draw(st.timedeltas(-2 * DAY, 2 * DAY))
    return start.replace(microsecond=0) if draw(st.booleans()) else start


def _field(low: int, high: int) -> st.SearchStrategy[str]:
    number = st.integers(low, high)
    span = st.tuples(number, number).map(lambda pair: f"{min(pair)}-{max(pair)}")
    stepped = st.tuples(st.just("*") | span, st.integers(1, 30)).map(lambda pair: f"{pair[0]}/{pair[1]}")
    return st.just("*") | number.map(str) | span | stepped | st.lists(number, min_size=2, max_size=4).map(_listed)


def _comes(line: str) -> bool:
    try:
        return bool(Cron(cron=line))
    except ValidationError:  # each 17 days from the first, if it is the last Friday in July
        return False


def _listed(numbers: list[int]) -> str:
    return ",".join(map(str, numbers))


lines = (
    st.tuples(
        _field(0, 59),
        _field(0, 23) | st.sampled_from(["*", "0", "1", "2", "23", "1-3"]),
        st.just("*") | _field(1, 28) | st.sampled_from(["L", "LW", "29-31"]),
        st.just("*") | _field(1, 12),
        st.just("*") | _field(0, 6) | st.sampled_from(["MON-FRI", "SUN#1", "5L", "0,7"]),
    )
    .map(" ".join)
    .filter(_comes)
)


@st.composite
def triggers(draw: st.DrawFn, zone: str) -> Every | Cron | Daily:
    """A trigger of any kind, in this zone."""
    days = st.none() | st.sets(st.sampled_from(["mon", "tue", "wed", "thu", "fri", "sat", "sun"]), min_size=1)
    clock = st.tuples(st.integers(0, 23), st.integers(0, 59)).map(lambda at: f"{at[0]:02}:{at[1]:02}")
    return draw(
        st.integers(1000, 10**8).map(lambda milliseconds: Every(every=milliseconds / 1000))
        | (lines | lines.map(lambda line: f"*/20 {line}")).map(lambda line: Cron(cron=line, zone=zone))
        | st.builds(Daily, daily=clock, zone=st.just(zone), on=days.map(lambda on: on and tuple(on)))
    )


@settings(deadline=None, max_examples=50)
@given(st.data())
def test_both_directions_and_all_questions_give_the_same_due_times(data: st.DataObject) -> None:
    """Next, last, between, count and newest agree: strictly ascending, none twice, none left out."""
    zone = data.draw(names)
    trigger, moment = data.draw(triggers(zone)), data.draw(moments(zone))
    dues = [*islice(trigger.ascending(moment), 30)]
    assert 30 == len(dues)
    assert all(due.tzinfo is UTC for due in dues)
    assert all(one < other for one, other in pairwise([moment, *dues]))
    assert dues[0] == trigger.next_after(moment)
    last = dues[-1]
    assert dues == [*trigger.between(moment, last)]
    assert (30, 29) == (trigger.count(moment, last), trigger.count(moment, last - timedelta(microseconds=1)))
    assert dues == trigger.newest(moment, last, 100)
    assert dues[-7:] == trigger.newest(moment, last, 7)
    assert [] == trigger.newest(moment, last, 0)
    for one, other in pairwise(dues):
        assert other == trigger.next_after(one) == trigger.next_after(other - timedelta(microseconds=1))
        assert one == trigger.last_upto(one) == trigger.last_upto(other - timedelta(microseconds=1))
        assert other - one == trigger.period_at(one)


@settings(deadline=None, max_examples=50)
@given(st.data())
def test_a_trigger_survives_its_way_through_json(data: st.DataObject) -> None:
    trigger = data.draw(triggers("Europe/Berlin"))
    assert trigger == read(trigger.model_dump(mode="json"))
    assert trigger.words


@settings(deadline=None, max_examples=50)
@given(st.data())
def test_where_the_calendar_ends_nothing_is_due(data: st.DataObject) -> None:
    trigger = data.draw(triggers(data.draw(names)))
    assert None is trigger.next_after(datetime.max.replace(tzinfo=UTC))
    start = datetime.min.replace(tzinfo=UTC)
    assert trigger.last_upto(start) in {None, start}
