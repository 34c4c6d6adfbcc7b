"""The chain of an event's causes: how it is written, and what is held to be a loop."""

import json
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.causes import DEEPEST, extended, is_chain, loop, without
from events.cleaning import CleaningEnded, CleaningRequested
from events.envelope import Envelope, Event, announce, decode, encode
from events.errors import InvalidData
from events.users import ReminderPageEnded, UserRegistered

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
ADA = UserRegistered(user_id=UUID(int=1), name="Ada Lovelace", email="ada@example.com")
words = st.text("abc019", min_size=1, max_size=5).map(lambda text: f"a{text}")
types = st.lists(words, min_size=2, max_size=3).map(".".join)


def follow(*steps: Event) -> list[Envelope]:
    """Events of which each is the cause of the next, as they come from the wire."""
    chain: list[Envelope] = []
    for event in steps:
        made = announce(event, source="/test", cause=chain[-1] if chain else None)
        chain.append(decode(encode(made)))
    return chain


def types_of(count: int) -> list[type[Event]]:
    """So many event types."""
    return [type(f"Step{n}", (Event,), {}, type=f"step.n{n}", version=1) for n in range(count)]


def judged(envelope: Envelope) -> str | None:
    return None if envelope.causation_types is None else loop(envelope.type, envelope.causation_types)


def passing(chain: list[Envelope]) -> int:
    """How many of them are handled before the first is held to be part of a loop."""
    verdicts = [judged(envelope) is None for envelope in chain]
    return (*verdicts, False).index(False)


def test_a_chain_names_each_cause_once_and_counts_those_in_a_row(throwaway: None) -> None:
    one, other = types_of(2)
    *_, last = follow(one(), other(), other(), other(), one(), one())
    assert "step.n0 step.n1*3 step.n0" == last.causation_types
    assert None is follow(one())[0].causation_types
    assert last.causation_types == json.loads(encode(last))["causationtypes"]
    assert b"causationtypes" not in encode(follow(one())[0])


@given(st.lists(types, min_size=1, max_size=DEEPEST + 1))
def test_what_is_written_can_be_read(names: list[str]) -> None:
    chain = None
    for name in names:
        chain = extended(chain, name)
    assert is_chain(chain)


def test_an_event_that_causes_its_own_type_is_a_loop_the_seventh_time(throwaway: None) -> None:
    """Five times among its own causes is allowed, as some work goes on in pages."""
    (one,) = types_of(1)
    chain = follow(*[one() for _ in range(9)])
    assert 6 == passing(chain)
    assert str(judged(chain[6])).startswith("A loop: step.n0 is 6 times among its own causes, and may be 5 (")
    assert str(judged(chain[6])).endswith("replay it with force, or edit it): step.n0*6")


def test_two_types_that_cause_each_other_are_a_loop(throwaway: None) -> None:
    one, other = types_of(2)
    chain = follow(*[cls() for _ in range(9) for cls in (one, other)])
    assert 12 == passing(chain)


def test_more_than_20_causes_are_as_good_as_a_loop(throwaway: None) -> None:
    chain = follow(*[cls() for cls in types_of(25)])
    assert 21 == passing(chain)
    assert str(judged(chain[21])).startswith("As good as a loop: it has 21 causes, and may have 20 (")


@pytest.mark.parametrize("event", [ReminderPageEnded, CleaningRequested])
def test_types_that_go_on_page_by_page_may_do_so_500_times(event: type[Event]) -> None:
    page = event.model_validate({"until": NOON, "last": UUID(int=1), "due_at": NOON})
    chain = follow(*[page for _ in range(502)])
    assert 501 == passing(chain)
    assert f"{page.TYPE}*501" == chain[501].causation_types


def test_a_run_of_pages_counts_as_one_cause_of_what_follows_it(throwaway: None) -> None:
    """A cleaning in a hundred passes ends like one in a single pass; the types after it count as ever."""
    end = CleaningEnded(removed={}, seconds=1.0, is_complete=True, waits_for=[])
    page = CleaningRequested(due_at=NOON)
    chain = follow(*[page] * 100, end, *[cls() for cls in types_of(25)])
    assert 100 + 1 + 19 == passing(chain)


def test_a_class_says_how_often_its_type_may_be_among_its_own_causes(throwaway: None) -> None:
    class OncePassed(Event, type="once.passed", version=1, repeats=0):
        """Never twice in a chain."""

    assert 1 == passing(follow(OncePassed(), OncePassed()))
    for wrong in (-1, 9_001, True, 1.5, None):
        with pytest.raises(TypeError, match="repeats must be a whole number from 0 to 9000"):
            type("Odd", (Event,), {}, type="odd.passed", version=1, repeats=wrong)


def test_a_chain_grows_no_longer_than_can_be_read(throwaway: None) -> None:
    """Nobody handles what has too many causes; if somebody goes on all the same, every event still can be read."""
    longest = [type(f"Long{n}", (Event,), {}, type=f"{'x' * 250}.n{n:02}", version=1, repeats=9_000) for n in range(30)]
    chain = follow(*[cls() for cls in longest for _ in range(2)])
    assert is_chain(chain[-1].causation_types)
    assert judged(chain[-1]) is not None
    assert "a.b*9999" == extended("a.b*9999", "a.b")


@pytest.mark.parametrize(
    "hostile",
    [
        7, True, [], {}, ["a.b"], "", " ", "a", "a.b*0", "a.b*-3", "a.b*10000", "a.b*", "a.b**2", "a.b  c.d", " a.b",
        "a.b\n", "A.b", "a.b*٣", "a.b " * 22 + "a.b", "a." + "b" * 6_000, "a.b*" + "9" * 5_000,
    ],
)  # fmt: skip
def test_a_chain_that_nobody_can_have_written_makes_the_event_unreadable(hostile: Any) -> None:
    """Passed over, it would blind the guard for all that follows."""
    body = json.dumps({**json.loads(encode(announce(ADA, source="/test"))), "causationtypes": hostile}).encode()
    with pytest.raises(
        InvalidData, match=r"^causationtypes: not 1 to 21 types of events such as 'user.registered\*2'$"
    ):
        decode(body)


def test_types_that_this_program_does_not_know_count_as_any() -> None:
    assert loop("user.registered", " ".join(f"gone.n{n}" for n in range(21))) is not None
    assert loop("gone.away", "gone.away*6") is not None
    assert loop("gone.away", "gone.away*5") is None


def test_without_its_causes_an_event_is_the_same_event() -> None:
    first, second = follow(ADA, ADA)
    assert decode(encode(first)) == decode(without(encode(first)))
    assert None is decode(without(encode(second))).causation_types
    assert second.causation_id == decode(without(encode(second))).causation_id
    for nonsense in (b"causationtypes", b'["causationtypes"]', b'{"x":"causationtypes"}', b"\xff causationtypes"):
        assert nonsense == without(nonsense)
