"""Envelopes for tests: hypothesis strategies for every event type of the project, and one plain example."""

from datetime import UTC
from uuid import UUID

from hypothesis import strategies as st

from events.clock import DayEnded, HeartbeatTicked
from events.envelope import Envelope, Event, announce
from events.users import UserRegistered

TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

ids = st.uuids().map(str)
moments = st.datetimes(timezones=st.just(UTC))
#: What CloudEvents calls a String, at the lengths that we take.
texts = st.text(st.characters(exclude_categories=["Cc", "Cs", "Cn"]), min_size=1, max_size=500)
names = st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"]), min_size=1, max_size=200)

users = st.builds(UserRegistered, user_id=st.uuids(), name=names, email=st.emails())
heartbeats = st.builds(HeartbeatTicked, due_at=moments)
days = st.builds(DayEnded, day=st.dates())
events: st.SearchStrategy[Event] = users | heartbeats | days

_first = st.builds(announce, events, source=texts, id=ids, time=moments, traceparent=st.none() | st.just(TRACEPARENT))
envelopes = st.builds(
    announce,
    events,
    source=texts,
    cause=st.none() | _first,
    id=ids,
    time=moments,
    traceparent=st.none() | st.just(TRACEPARENT),
)


def ada() -> Envelope:
    """One registration, with every attribute set."""
    event = UserRegistered(user_id=UUID(int=1), name="Ada Lovelace", email="ada@example.com")
    first = announce(event, source="/gateway", traceparent=TRACEPARENT)
    return announce(event, source="/gateway", cause=first)
