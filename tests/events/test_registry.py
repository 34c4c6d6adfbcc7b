"""The event types: how they are declared, found, and kept readable over versions."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from pydantic import ValidationError

import events
from events import causes, registry
from events.clock import DayEnded, HeartbeatTicked
from events.envelope import Event, announce, check_upcasters, decode, encode, event_types, upcaster
from events.errors import InvalidData, NewerVersion, UnknownType
from events.jobs import JobRequested
from events.registry import newest
from events.users import UserRegistered


def test_event_types_are_durable_names() -> None:
    """Types, versions and subjects are spelled out here too: to rename one orphans what is on the road."""
    declared = {name: (cls.__name__, cls.VERSION, cls.SUBJECT) for name, cls in event_types().items()}
    assert {
        "day.ended": ("DayEnded", 1, "day"),
        "health.changed": ("HealthChanged", 1, "component"),
        "heartbeat.ticked": ("HeartbeatTicked", 1, None),
        "hour.passed": ("HourPassed", 1, None),
        "job.ended": ("JobEnded", 1, "job_id"),
        "minute.passed": ("MinutePassed", 1, None),
        "reminder.page.ended": ("ReminderPageEnded", 1, None),
        "user.erased": ("UserErased", 1, "user_id"),
        "user.registered": ("UserRegistered", 1, "user_id"),
        "user.week.passed": ("UserWeekPassed", 1, "user_id"),
    }.items() <= declared.items()
    assert JobRequested is registry.families()["job.requested"]


def test_every_older_version_can_be_read() -> None:
    """Each type has an upcaster from each version before its newest, and none too many."""
    assert check_upcasters() == []


def test_new_file_is_found_by_itself(tmp_path: Path) -> None:
    """Importing any part of `events` imports every file of the package, so a new event type stands in no list."""
    copy = shutil.copytree(events.__path__[0], tmp_path / "events")
    (copy / "orders.py").write_text(
        "from events.envelope import Event\nclass OrderPaid(Event, type='order.paid', version=1): ...\n"
    )
    program = (
        "from events.envelope import event_types; assert event_types()['order.paid'].__module__ == 'events.orders'"
    )
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    subprocess.run([sys.executable, "-c", program], cwd=tmp_path, env=environment, check=True, timeout=60)


@pytest.mark.parametrize(
    ("name", "version", "subject"),
    [
        ("registered", 1, None),
        ("User.registered", 1, None),
        ("user registered", 1, None),
        ("user..registered", 1, None),
        ("user.registered.", 1, None),
        ("user.régistered", 1, None),
        ("user.registered\n", 1, None),
        ("a." + "b" * 254, 1, None),
        ("", 1, None),
        (7, 1, None),
        ("order.paid", 0, None),
        ("order.paid", True, None),
        ("order.paid", "1", None),
        ("order.paid", 1, "number"),
        ("user.registered", 1, None),
    ],
)
def test_wrong_declaration_is_refused(name: Any, version: Any, subject: str | None, throwaway: None) -> None:
    """A type that is not dotted words or is taken, a version below 1, an unknown subject: a TypeError at the class."""
    before = event_types()
    with pytest.raises(TypeError):
        type("OrderPaid", (Event,), {}, type=name, version=version, subject=subject)
    assert event_types() == before


@pytest.mark.parametrize("keywords", [{}, {"type": "order.paid"}, {"version": 1}])
def test_type_and_version_are_written_out(keywords: dict[str, Any]) -> None:
    """Neither is ever derived from the class's name."""
    with pytest.raises(TypeError, match="missing"):
        type("OrderPaid", (Event,), {}, **keywords)


def test_event_is_frozen() -> None:
    """Facts do not change."""
    event = UserRegistered(user_id=UUID(int=1), name="Ada", email="ada@example.com")
    with pytest.raises(ValidationError):
        event.name = "Eve"  # type: ignore[misc]


def test_event_may_have_a_field_named_subject(throwaway: None) -> None:
    """The base class takes no common word away from the fields."""

    class MailReceived(Event, type="mail.received", version=1):
        subject: str
        type: str

    assert announce(MailReceived(subject="Hello", type="text"), source="/test").subject is None


def test_subject_that_is_none_is_no_subject(throwaway: None) -> None:
    """An optional field may be the subject; the envelope then has none."""

    class CartLeft(Event, type="cart.left", version=1, subject="user"):
        user: str | None = None

    assert announce(CartLeft(), source="/test").subject is None
    assert announce(CartLeft(user="u1"), source="/test").subject == "u1"


@pytest.mark.parametrize("subject", ["", "two\nlines", "nul\0", "x" * 501, "\ufffe", "\u0085"])
def test_event_with_a_subject_that_cannot_travel_never_exists(subject: str, throwaway: None) -> None:
    """Whoever posts it is told at once, instead of each consumer later."""

    class CartLeft(Event, type="cart.left", version=1, subject="user"):
        user: str

    with pytest.raises(ValidationError, match="user is the event's subject: 1 to 500 characters"):
        CartLeft(user=subject)


def test_old_versions_climb_to_the_newest_class(throwaway: None) -> None:
    """Data of versions 1, 2 and 3 all become the class of version 3, a step at a time."""

    class OrderPaidOnce(Event, type="order.paid", version=1, subject="number"):
        number: int
        euros: str

    first = encode(announce(OrderPaidOnce(number=7, euros="12.50"), source="/test"))

    class OrderPaid(Event, type="order.paid", version=3, subject="number"):
        number: int
        cents: int
        currency: str

    @upcaster("order.paid", 1)
    def in_cents(data: dict[str, Any]) -> dict[str, Any]:
        return {"number": data["number"], "cents": round(float(data["euros"]) * 100)}

    @upcaster("order.paid", 2)
    def with_currency(data: dict[str, Any]) -> dict[str, Any]:
        return {**data, "currency": "EUR"}

    second = first.replace(b"paid/1", b"paid/2").replace(b'"euros":"12.50"', b'"cents":1250')
    third = encode(announce(OrderPaid(number=7, cents=1250, currency="EUR"), source="/test"))
    assert event_types()["order.paid"] is OrderPaid
    assert [decode(body).data for body in (first, second, third)] == [
        OrderPaid(number=7, cents=1250, currency="EUR")
    ] * 3
    assert check_upcasters() == []
    with pytest.raises(NewerVersion):
        decode(third.replace(b"paid/3", b"paid/4"))
    with pytest.raises(InvalidData, match=r"^data: KeyError in OrderPaid$"):  # the step itself stumbles over bad data
        decode(first.replace(b"euros", b"pounds"))


def test_missing_step_is_told_to_the_author_and_to_the_reader(throwaway: None) -> None:
    """`check_upcasters` names the gap before the release; a decode names it if nobody looked."""

    class OrderPaid(Event, type="order.paid", version=3):
        """Version 2 was never thought of."""

    upcaster("order.paid", 1)(dict)
    upcaster("order.paid", 3)(dict)
    assert check_upcasters() == [
        "order.paid: no upcaster from version 2",
        "order.paid: the upcaster from version 3 leads nowhere",
    ]
    old = encode(announce(OrderPaid(), source="/test")).replace(b"paid/3", b"paid/1")
    with pytest.raises(InvalidData, match=r"^dataschema: no upcaster of order.paid from version 2$"):
        decode(old)


def test_one_step_has_one_upcaster(throwaway: None) -> None:
    """A second upcaster from the same version is a TypeError."""
    upcaster("order.paid", 1)(dict)
    with pytest.raises(TypeError, match="two upcasters from version 1"):
        upcaster("order.paid", 1)(lambda data: data)


def test_forgotten_type_can_be_declared_again(throwaway: None) -> None:
    """`forget` leaves nothing behind, so a test outside this folder can clean up after itself."""
    for _ in range(2):
        type("OrderPaid", (Event,), {}, type="order.paid", version=2)
        upcaster("order.paid", 1)(dict)
        registry.forget("order.paid")
    assert "order.paid" not in event_types()
    assert check_upcasters() == []


def test_base_class_is_no_event_type() -> None:
    """`Event` stands for all types and is none itself."""
    assert Event not in event_types().values()
    assert {DayEnded, HeartbeatTicked, UserRegistered} <= set(event_types().values())


def test_a_member_of_a_family_has_a_type_of_its_own_and_the_familys_class() -> None:
    asked = JobRequested(job_id=uuid4(), kind="activity-report", parameters={"days": 7})
    body = encode(announce(asked, source="/test"))

    assert b'"type":"job.requested.activity-report"' in body
    assert asked == decode(body).data
    with pytest.raises(InvalidData, match="type: not the one that its data says"):
        decode(body.replace(b"job.requested.activity-report", b"job.requested.other"))


@pytest.mark.parametrize("event_type", ["job.requested", "user.registered.member"])
def test_a_family_is_no_type_and_a_type_is_no_family(event_type: str) -> None:
    with pytest.raises(UnknownType):
        newest(event_type)


def test_a_member_must_be_a_field() -> None:
    with pytest.raises(TypeError, match="member names 'kind', which is not a field"):

        class Bad(Event, type="bad.done", version=1, member="kind"):
            pass


def test_a_chain_of_causes_may_hold_members_of_families() -> None:
    assert causes.is_chain("user.registered job.requested.activity-report*3 job.ended")
