"""The places where the broker's own part is the largest, on the newer RabbitMQ."""

import pytest

from tests.system.crash_points.crashes import die_delivering, die_in_the_gateway
from tests.system.crash_points.points import DELIVERY, GATEWAY, KEEPING, Point
from tests.system.crash_points.site import Site

#: Seconds: a broker that was never needed before is unpacked first.
pytestmark = [pytest.mark.system, pytest.mark.timeout(300)]
_RELAYED = [point for point in GATEWAY if point.name.startswith("relay.")]
_DELIVERED = [
    *(point for point in DELIVERY if point.name.endswith(".before-ack")),
    *(point for point in DELIVERY if point.name in ("delivery.in-transaction", "delivery.after-effect")),
    *KEEPING,
]


@pytest.mark.parametrize("point", _RELAYED, ids=lambda point: f"4.x-{point.fault}")
def test_what_was_published_before_the_death_is_done_once(newer_site: Site, point: Point) -> None:
    die_in_the_gateway(newer_site, point, 1)


@pytest.mark.parametrize("point", _DELIVERED, ids=lambda point: f"4.x-{point.fault}")
def test_what_was_delivered_before_the_death_is_done_once(newer_site: Site, point: Point) -> None:
    die_delivering(newer_site, point, 1)
