"""What the sweep makes of requests for jobs, which are at work for as long as they need."""

from datetime import timedelta

import pytest

from infra.database import replays
from infra.rabbitmq.topology import TIERS
from infra.recovery.sweeping import Swept
from tests import jobrows
from tests.eventlogs import event_id, fill, handle
from tests.infra.recovery.conftest import Bench, ago, write_letter

HOUR = 3_600
NOTHING, ONE = Swept("sms"), Swept("sms", lost=1, sent=1)


@pytest.fixture
def work(bench: Bench) -> Bench:
    """A request an hour ago, since when later ones went through the queue, which was seen empty and was made anew."""
    fill(bench.database, 1, at=ago(HOUR))
    fill(bench.database, 300, 2, at=ago(HOUR / 2))
    handle(bench.database, "sms", 300, 2)
    bench.seen_empty(ago(HOUR / 4))
    bench.made(ago(HOUR / 4))
    return bench


def test_a_job_that_is_at_work_for_an_hour_is_not_sent_again(work: Bench) -> None:
    jobrows.hold(work.database, "job", "sms", event_id(1), seconds=60)
    assert NOTHING == work.sweep()


def test_a_job_whose_lease_is_over_and_whose_message_is_nowhere_is_sent_again(work: Bench) -> None:
    jobrows.hold(work.database, "job", "sms", event_id(1), seconds=-1)
    assert ONE == work.sweep()
    assert [event_id(1)] == work.waiting()


def test_a_job_that_nobody_has_begun_and_whose_message_is_nowhere_is_sent_again(work: Bench) -> None:
    jobrows.write(work.database, "job", "sms", event_id(1))
    assert ONE == work.sweep()


def test_that_a_job_is_at_work_excuses_no_other_consumer_of_its_request(work: Bench) -> None:
    jobrows.hold(work.database, "job", "report", event_id(1), seconds=60)
    assert ONE == work.sweep()


def test_a_job_that_was_handed_back_is_sent_again_only_if_the_tier_that_it_waits_in_was_lost(bench: Bench) -> None:
    fill(bench.database, 1, at=ago(HOUR))
    jobrows.write(bench.database, "job", "sms", event_id(1))
    bench.inbox(1, "retrying", failed_at=ago(2), retry_at=ago(-3))
    bench.seen_empty(ago(HOUR / 4))
    assert NOTHING == bench.sweep()
    bench.made(ago(1), TIERS[5])
    assert ONE == bench.sweep()


@pytest.mark.parametrize(("seconds", "brought_back"), [(60, []), (-1, ["letter"])])
def test_a_replay_is_not_taken_for_lost_while_its_job_is_at_work(
    bench: Bench, seconds: float, brought_back: list[str]
) -> None:
    fill(bench.database, 1, at=ago(HOUR))
    bench.inbox(1, "dead", failed_at=ago(HOUR))
    with bench.database.transaction() as session:
        write_letter(session, event_id(1), "sms", letter_id="letter")
        replays.begin(session, ["letter"])
    bench.relay()
    jobrows.hold(bench.database, "job", "sms", event_id(1), seconds)
    with bench.database.transaction() as session:
        assert brought_back == replays.bring_back(session, ago(0) + replays.LONGEST + timedelta(seconds=1))
