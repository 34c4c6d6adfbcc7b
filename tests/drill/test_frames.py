"""AMQP frames out of a stream of bytes, and the deliveries that come twice."""

from typing import Any

from pamqp import commands, frame, header

from infra.rabbitmq.messages import ATTEMPT
from tests.drill.frames import Deliveries, Splitter, is_confirm


def delivery(queue: str, message_id: str | None, attempt: int | str | None = None, channel: int = 1) -> list[bytes]:
    """What a broker sends before the body."""
    method = commands.Basic.Deliver(f"{queue} host#1", 1, False, "", queue)
    headers: dict[str, Any] = {} if attempt is None else {ATTEMPT: attempt}
    properties = commands.Basic.Properties(message_id=message_id, headers=headers)
    return [frame.marshal(method, channel), frame.marshal(header.ContentHeader(0, 4, properties), channel)]


def counted(*deliveries: list[bytes]) -> tuple[int, int]:
    found = Deliveries()
    look = found.watch()
    for each in deliveries:
        for whole in each:
            look(whole)
    return found.total, found.duplicates


def test_frames_are_whole_however_the_stream_is_cut() -> None:
    frames = delivery("welcome-email", "1")
    splitter = Splitter()
    assert frames == [whole for byte in b"".join(frames) for whole in splitter.feed(bytes([byte]))]


def test_the_same_message_to_the_same_queue_is_a_duplicate() -> None:
    assert (2, 1) == counted(delivery("a", "1"), delivery("a", "1"))


def test_another_queue_or_another_try_is_no_duplicate() -> None:
    assert (3, 0) == counted(delivery("a", "1"), delivery("b", "1"), delivery("a", "1", attempt=2))


def test_messages_on_several_channels_are_told_apart() -> None:
    first, second = delivery("a", "1", channel=1), delivery("b", "2", channel=2)
    assert (2, 0) == counted([first[0], second[0], first[1], second[1]])


def test_what_has_no_id_or_a_strange_attempt_is_counted_and_does_no_harm() -> None:
    assert (3, 0) == counted(delivery("a", None), delivery("a", None), delivery("a", "1", attempt="many"))


def test_only_an_ack_of_the_broker_is_a_confirm() -> None:
    assert is_confirm(frame.marshal(commands.Basic.Ack(1, True), 1))
    assert not is_confirm(frame.marshal(commands.Basic.Nack(1), 1))
    assert not any(is_confirm(whole) for whole in delivery("a", "1"))
