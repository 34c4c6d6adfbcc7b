"""Each program dies at each place where it hurts, once and twice: afterwards it is as if it had not."""

import pytest

from infra.faults import EXIT, NAMES
from tests.system.crash_points.crashes import (
    die_at_the_clock,
    die_catching_up,
    die_delivering,
    die_in_the_gateway,
    die_replaying,
    die_resending,
    wait_for_consumers,
)
from tests.system.crash_points.points import (
    CLOCK,
    DELIVERY,
    ELSEWHERE,
    EVERYWHERE,
    GATEWAY,
    KEEPING,
    REPLAYED,
    RESENDING,
    Point,
)
from tests.system.crash_points.recovery import recover
from tests.system.crash_points.site import Site

pytestmark = pytest.mark.system
once_and_twice = pytest.mark.parametrize("times", [1, 2], ids=["once", "twice"])


@pytest.mark.parametrize("point", GATEWAY, ids=lambda point: point.fault)
@once_and_twice
def test_what_the_gateway_answered_is_done_though_it_died(site: Site, point: Point, times: int) -> None:
    die_in_the_gateway(site, point, times)


@pytest.mark.parametrize("point", DELIVERY, ids=lambda point: point.fault)
@once_and_twice
def test_a_delivery_that_died_is_done_once(site: Site, point: Point, times: int) -> None:
    die_delivering(site, point, times)


@pytest.mark.parametrize("point", KEEPING, ids=lambda point: point.fault)
@once_and_twice
def test_what_was_given_up_is_kept_in_one_row_though_the_keeper_died(site: Site, point: Point, times: int) -> None:
    die_delivering(site, point, times)


@pytest.mark.parametrize("point", RESENDING, ids=lambda point: point.fault)
@once_and_twice
def test_a_replay_is_done_once_though_the_relay_died(site: Site, point: Point, times: int) -> None:
    die_resending(site, point, times)


@pytest.mark.parametrize("point", REPLAYED, ids=lambda point: point.fault)
def test_a_replay_is_done_once_though_its_consumer_died(site: Site, point: Point) -> None:
    die_replaying(site, point)


@pytest.mark.parametrize("point", CLOCK, ids=lambda point: point.fault)
@once_and_twice
def test_a_due_time_is_announced_once_though_the_scheduler_died(site: Site, point: Point, times: int) -> None:
    die_at_the_clock(site, point, times)


@pytest.mark.parametrize("point", CLOCK, ids=lambda point: point.fault)
@once_and_twice
def test_a_gap_and_an_order_are_decided_once_though_the_scheduler_died(site: Site, point: Point, times: int) -> None:
    die_catching_up(site, point, times)


def test_the_program_ends_soon_after_its_worker_even_one_that_died_as_it_began(sqlite_site: Site) -> None:
    wait_for_consumers(sqlite_site, *sqlite_site.people("Steady", 1))
    assert EXIT == sqlite_site.exit_code("consumers and jobs", "delivery.before-ack")
    recover(sqlite_site)


def test_every_failpoint_is_among_them() -> None:
    assert NAMES == {point.name for point in EVERYWHERE} | ELSEWHERE
