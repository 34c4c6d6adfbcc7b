"""A TCP proxy between the programs and the broker that can cut, fall silent, be slow, and swallow confirms."""

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

from infra.local.ports import LOOPBACK
from tests.drill.frames import Deliveries, Splitter, is_confirm

T = TypeVar("T")
#: Bytes read at once, and pieces that may wait in one direction.
_PIECE, _PIECES = 64 * 1024, 64


class Proxy:
    """Listens at `port` and hands everything on to `target`; runs in a thread of its own until `stop`."""

    def __init__(self, target: int, port: int = 0) -> None:
        self.port = port
        #: What went through it to consumers.
        self.deliveries = Deliveries()
        #: Confirms that it swallowed.
        self.dropped = 0
        self._target = target
        self._refusing = False
        self._dropping = False
        #: Seconds that each piece takes longer, in each direction.
        self._delay = 0.0
        self._loop = asyncio.new_event_loop()
        self._open = asyncio.Event()
        self._lines: set[_Line] = set()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)
        self._server: asyncio.Server | None = None

    def start(self) -> None:
        """Listen."""
        self._thread.start()
        self._run(self._listen())

    def stop(self) -> None:
        """Close everything and end the thread; does nothing the second time."""
        if self._loop.is_closed():
            return
        if self._thread.is_alive():
            self._run(self._close())
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(10)
        self._loop.close()

    @contextmanager
    def cut(self) -> Iterator[None]:
        """Reset every connection, and each new one at once."""
        self._refusing = True
        self._run(self._abort())
        try:
            yield
        finally:
            self._refusing = False

    @contextmanager
    def blackhole(self) -> Iterator[None]:
        """Hand nothing on and tell nobody, as a network that drops all packets; afterwards what waited goes on."""
        self._loop.call_soon_threadsafe(self._open.clear)
        try:
            yield
        finally:
            self._loop.call_soon_threadsafe(self._open.set)

    @contextmanager
    def delayed(self, seconds: float) -> Iterator[None]:
        """Hand everything on later by so much, in each direction."""
        self._delay = seconds
        try:
            yield
        finally:
            self._delay = 0.0

    @contextmanager
    def dropping_confirms(self) -> Iterator[None]:
        """Let the broker take every publish, and no publisher hear of it."""
        self._dropping = True
        try:
            yield
        finally:
            self._dropping = False

    async def _listen(self) -> None:
        self._open.set()
        self._server = await asyncio.start_server(self._accept, LOOPBACK, self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there = await asyncio.open_connection(LOOPBACK, self._target)
        except OSError:
            writer.transport.abort()
            return
        except asyncio.CancelledError:  # it ends, and nobody else knows of this connection yet
            writer.transport.abort()
            raise
        line = _Line(self, (reader, writer), there)
        if self._refusing:
            line.abort()
            return
        self._lines.add(line)
        try:
            await line.run()
        finally:
            self._lines.discard(line)

    async def hand_on(self, writer: asyncio.StreamWriter, due: float, data: bytes) -> None:
        """Write one piece when its time has come and nothing keeps it."""
        if (wait := due - self._loop.time()) > 0:
            await asyncio.sleep(wait)
        await self._open.wait()
        writer.write(data)
        await writer.drain()

    def due(self) -> float:
        """When what arrives now is to go on, by the loop's clock."""
        return self._loop.time() + self._delay

    def passing(self) -> Callable[[bytes], bytes]:
        """What one connection's bytes from the broker become."""
        splitter, look = Splitter(), self.deliveries.watch()

        def passed(data: bytes) -> bytes:
            kept = []
            for whole in splitter.feed(data):
                look(whole)
                if self._dropping and is_confirm(whole):
                    self.dropped += 1
                else:
                    kept.append(whole)
            return b"".join(kept)

        return passed

    async def _abort(self) -> None:
        for line in tuple(self._lines):
            line.abort()

    async def _close(self) -> None:
        assert self._server is not None
        self._server.close()
        self._open.set()
        await asyncio.sleep(0)  # a connection that was just taken has begun by then, and closes it itself
        await self._abort()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)


_Ends = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class _Line:
    """One connection, both directions."""

    def __init__(self, proxy: Proxy, here: _Ends, there: _Ends) -> None:
        self._proxy = proxy
        self._here, self._there = here, there

    async def run(self) -> None:
        """Hand on until either side ends; what was read is handed on before both are closed."""
        to_client = self._proxy.passing()
        both = [
            asyncio.ensure_future(self._pump(self._here[0], self._there[1], lambda data: data)),
            asyncio.ensure_future(self._pump(self._there[0], self._here[1], to_client)),
        ]
        try:
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in both:
                task.cancel()
            await asyncio.gather(*both, return_exceptions=True)
            for writer in (self._here[1], self._there[1]):
                writer.close()

    def abort(self) -> None:
        """Reset both sides."""
        for writer in (self._here[1], self._there[1]):
            writer.transport.abort()

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, become: Callable[[bytes], bytes]
    ) -> None:
        pieces: asyncio.Queue[tuple[float, bytes] | None] = asyncio.Queue(_PIECES)
        reading = asyncio.ensure_future(self._read(reader, pieces, become))
        try:
            with suppress(OSError):  # whichever side was reset
                while (piece := await pieces.get()) is not None:
                    await self._proxy.hand_on(writer, *piece)
        finally:
            reading.cancel()

    async def _read(
        self,
        reader: asyncio.StreamReader,
        pieces: asyncio.Queue[tuple[float, bytes] | None],
        become: Callable[[bytes], bytes],
    ) -> None:
        with suppress(OSError):
            while data := await reader.read(_PIECE):
                if data := become(data):
                    await pieces.put((self._proxy.due(), data))
        await pieces.put(None)
