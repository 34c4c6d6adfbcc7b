"""pika's connection, made to survive message headers that pika cannot decode, and to be given up while it is made."""

import struct
from typing import Any

from pika import SelectConnection, frame, spec

#: AMQP 0-9-1: class id, weight and body size, which stand before the properties in a content header frame.
_HEADER = struct.Struct(">HHQ")
#: AMQP 0-9-1: type, channel and payload size, which stand before the payload of every frame.
_FRAME = struct.Struct(">BHL")


class TolerantConnection(SelectConnection):  # type: ignore[misc]  # pika ships no types
    """A message whose properties pika cannot decode arrives without any, instead of ending the IO loop.

    A header with a moment after the year 9999, or with a thousand nested tables, is legal on the wire, and pika 1.4.4
    raises on it. Such a message would come again after each reconnect until the broker gives it up, neighbours and all.
    """

    def _read_frame(self) -> Any:  # not public, but the one place between the bytes and the callbacks
        try:
            return super()._read_frame()
        except Exception:  # whatever decoding the sender's values raises
            kind, channel, size = _FRAME.unpack_from(self._frame_buffer)
            if kind != spec.FRAME_HEADER:
                raise
            _, _, body_size = _HEADER.unpack_from(self._frame_buffer, _FRAME.size)
            whole = spec.FRAME_HEADER_SIZE + size + spec.FRAME_END_SIZE
            return whole, frame.Header(channel, body_size, spec.BasicProperties())

    def _on_connection_workflow_done(self, conn_or_exc: Any) -> None:  # not public, either
        """Of an attempt that we gave up pika 1.4.4 passes the exception's class, and then wants an instance."""
        super()._on_connection_workflow_done(conn_or_exc() if isinstance(conn_or_exc, type) else conn_or_exc)
