"""The options of a consumer in words."""

import pytest

from infra.documents import words
from infra.subscriptions import Batch, Retry, Subscription, described


def options(**given: object) -> dict[str, object]:
    return described(Subscription("sms", ("user.registered",), print, **given))  # type: ignore[arg-type]


def test_how_it_takes_events_is_told_rule_by_rule() -> None:
    assert ["4 at once", "pauses itself after 20 failures in a row"] == words.lane(options())
    assert ["1 at once", "in order for each subject"] == words.lane(
        options(concurrency=1, ordered=True, pause_after=None)
    )
    assert ["4 at once", "in batches of up to 200", "only those that its filter lets through"] == words.lane(
        options(batch=Batch(200), where=bool, pause_after=None)
    )


@pytest.mark.parametrize(
    ("retry", "told"),
    [
        (Retry.DEFAULT, "tried again after 5 s, 30 s, 2 min, 10 min and 1 h, then a dead letter"),
        (Retry(delays=()), "a dead letter at once"),
        (Retry(delays=(5,)), "tried again after 5 s, then a dead letter"),
        (Retry(delays=(5, 600, 600, 600)), "tried again after 5 s and 3 times 10 min, then a dead letter"),
        (
            Retry(Retry.never(ValueError), delays=(), max_age=86_400),
            "a dead letter at once; 1 rule of its own for some errors; given up when older than 1 d",
        ),
    ],
)
def test_what_becomes_of_an_event_that_fails_is_one_sentence(retry: Retry, told: str) -> None:
    assert told == words.retries(options(retry=retry))


def test_of_a_consumer_that_an_older_program_recorded_nothing_is_said() -> None:
    assert ([], "") == (words.lane({}), words.retries({}))


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.5, "0.5 s"), (90, "90 s"), (120, "2 min"), (5_400, "90 min"), (172_800, "2 d")]
)
def test_a_time_has_the_largest_unit_that_divides_it(seconds: float, text: str) -> None:
    assert text == words.duration(seconds)
