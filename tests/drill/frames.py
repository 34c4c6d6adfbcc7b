"""AMQP 0-9-1 frames as they pass by: cut out of a stream, and as much of them understood as the drill needs."""

import struct
from collections.abc import Callable

from pamqp import frame
from pamqp.header import ContentHeader

from infra.rabbitmq.messages import ATTEMPT

#: Type, channel and payload size stand before the payload, one end byte behind it.
_HEAD = struct.Struct(">BHL")
_METHOD = struct.Struct(">HH")
_KIND_METHOD, _KIND_HEADER = 1, 2
#: Class and method: what a broker says to a consumer and to a publisher.
_DELIVER, _ACK = (60, 60), (60, 80)


class Splitter:
    """Cuts one direction of a connection into whole frames, and keeps the rest for the next bytes."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[bytes]:
        """All frames that are whole by now."""
        data = self._rest + data
        frames, at = [], 0
        while len(data) - at >= _HEAD.size:
            end = at + _HEAD.size + _HEAD.unpack_from(data, at)[2] + 1
            if end > len(data):
                break
            frames.append(data[at:end])
            at = end
        self._rest = data[at:]
        return frames


class Deliveries:
    """Counts what the broker delivers, and how often the same message came to the same queue again."""

    def __init__(self) -> None:
        self.total = 0
        self.duplicates = 0
        self._seen: set[tuple[str, str, int]] = set()

    def watch(self) -> Callable[[bytes], None]:
        """What to call with each frame of one connection."""
        queues: dict[int, str] = {}

        def look(whole: bytes) -> None:
            kind, channel, _ = _HEAD.unpack_from(whole)
            if kind == _KIND_METHOD and _method(whole) == _DELIVER:
                queues[channel] = _queue(whole)
            elif kind == _KIND_HEADER and channel in queues:
                self._count(queues.pop(channel), whole)

        return look

    def _count(self, queue: str, whole: bytes) -> None:
        self.total += 1
        try:
            header = frame.unmarshal(whole)[2]
        except Exception:  # noqa: BLE001  # whatever a hostile sender wrote: it has no id to be known again by
            return
        properties = header.properties if isinstance(header, ContentHeader) else None
        if properties is None or not properties.message_id:
            return
        attempt = (properties.headers or {}).get(ATTEMPT)
        key = (queue, properties.message_id, attempt if isinstance(attempt, int) else 1)
        self.duplicates += key in self._seen
        self._seen.add(key)


def is_confirm(whole: bytes) -> bool:
    """Whether the broker tells a publisher that it has a message."""
    return _HEAD.unpack_from(whole)[0] == _KIND_METHOD and _method(whole) == _ACK


def _method(whole: bytes) -> tuple[int, int]:
    found: tuple[int, int] = _METHOD.unpack_from(whole, _HEAD.size)
    return found


def _queue(whole: bytes) -> str:
    """Our consumer tags begin with the queue's name."""
    at = _HEAD.size + _METHOD.size
    return whole[at + 1 : at + 1 + whole[at]].partition(b" ")[0].decode(errors="replace")
