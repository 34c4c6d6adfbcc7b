"""Rules of the coalesced acks."""

from hypothesis import given
from hypothesis import strategies as st

from infra.rabbitmq.acks import Acks


def acks_of(*tags: int) -> Acks:
    acks = Acks()
    for tag in tags:
        acks.delivered(tag)
    return acks


def finish(acks: Acks, *tags: int) -> None:
    for tag in tags:
        acks.finished(tag)


def test_the_finished_prefix_is_one_ack() -> None:
    acks = acks_of(1, 2, 3, 4)
    finish(acks, 2, 1, 3)

    assert acks.prefix() == 3


def test_nothing_finished_is_no_ack() -> None:
    acks = acks_of(1, 2)

    assert acks.prefix() is None


def test_a_prefix_is_given_once() -> None:
    acks = acks_of(1, 2)
    finish(acks, 1)
    acks.prefix()

    assert acks.prefix() is None


def test_what_is_finished_behind_something_slow_goes_one_by_one() -> None:
    acks = acks_of(1, 2, 3, 4)
    finish(acks, 4, 2)

    assert acks.prefix() is None
    assert acks.has_stragglers
    assert acks.stragglers() == [2, 4]
    assert not acks.has_stragglers


def test_a_straggler_that_was_acked_is_not_acked_again_with_the_prefix() -> None:
    acks = acks_of(1, 2)
    finish(acks, 2)
    acks.prefix()
    acks.stragglers()
    finish(acks, 1)

    assert acks.prefix() == 1


def test_a_tag_that_was_given_back_never_ends_a_prefix() -> None:
    acks = acks_of(1, 2, 3)
    acks.forget(2)
    finish(acks, 1)

    assert acks.prefix() == 1


@given(st.permutations(range(1, 9)), st.sets(st.integers(1, 8)), st.lists(st.booleans(), min_size=8, max_size=8))
def test_in_any_order_every_finished_tag_is_acked_exactly_once(
    order: list[int], given_back: set[int], settle: list[bool]
) -> None:
    """`multiple` covers all open tags up to the one it names, and must never cover one that is not finished."""
    acks, open_tags, acked = acks_of(*range(1, 9)), set(range(1, 9)), list[int]()
    finished = set[int]()
    for tag, now in zip(order, settle, strict=True):
        if tag in given_back:
            acks.forget(tag)
            open_tags.discard(tag)
            continue
        finish(acks, tag)
        finished.add(tag)
        last = acks.prefix()
        covered = {each for each in open_tags if last is not None and each <= last} | set(
            acks.stragglers() if now else ()
        )
        assert covered <= finished
        open_tags -= covered
        acked += covered
    last = acks.prefix()
    acked += [each for each in open_tags if last is not None and each <= last] + acks.stragglers()

    assert sorted(acked) == sorted(set(range(1, 9)) - given_back)
