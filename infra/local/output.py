"""Where the programs' lines go: to the console with each program's name, or to a log file each."""

import asyncio
import os
import zlib
from pathlib import Path
from typing import Protocol

from infra.local.places import Places

#: Characters that the longest of the names takes.
_WIDTH = 9
#: Bytes of a line that is still shown.
_LONGEST_LINE = 1 << 20
_COLORS = (36, 33, 35, 32, 34, 96, 93, 95)


class Output(Protocol):
    """Takes lines of programs, and of `up` itself."""

    def open(self, name: str) -> int:
        """File descriptor for a program to write to; the caller closes it once the program has it."""

    def say(self, text: str) -> None:
        """A line of `up` itself."""

    def show(self, table: str) -> None:
        """What `up` ends its start with: for people alone, as it holds passwords."""

    async def last_words(self, name: str) -> str:
        """The last line of a program that ended, and where there is more."""

    async def drain(self) -> None:
        """Wait for what the ended programs wrote last."""


class Console:
    """Lines `gateway   | …` on standard output, in colors on a terminal; a closed terminal is not an error."""

    def __init__(self, *, colors: bool) -> None:
        self._colors = colors
        self._last: dict[str, str] = {}
        self._copying: dict[str, asyncio.Task[None]] = {}

    def open(self, name: str) -> int:
        """Write end of a pipe whose lines are shown as they come."""
        reading, writing = os.pipe()
        self._copying[name] = asyncio.get_running_loop().create_task(self._copy(name, reading))
        return writing

    def say(self, text: str) -> None:
        """Show a line of `up` itself."""
        self._line("up", text)

    def show(self, table: str) -> None:
        """Show it as it is."""
        _write(f"{table}\n")

    async def last_words(self, name: str) -> str:
        """The last line that this program wrote; the rest stands above."""
        await asyncio.wait({self._copying[name]}, timeout=1)
        return f"{_plain(self._last.get(name, 'it said nothing'))} (see above)."

    async def drain(self) -> None:
        """Wait up to a second for the pipes to run empty."""
        if self._copying:
            await asyncio.wait(self._copying.values(), timeout=1)

    async def _copy(self, name: str, reading: int) -> None:
        reader = asyncio.StreamReader(limit=_LONGEST_LINE)
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(reading, "rb")
        )
        try:
            while line := await _next_line(reader):
                self._last[name] = line.rstrip()
                self._line(name, line.rstrip())
        finally:
            transport.close()

    def _line(self, name: str, line: str) -> None:
        label = f"{name:<{_WIDTH}} |"
        if self._colors:
            label = f"\x1b[{_COLORS[zlib.crc32(name.encode()) % len(_COLORS)]}m{label}\x1b[0m"
        _write(f"{label} {line}\n")


class LogFiles:
    """A file for each program, which it writes itself, so that none waits for `up`, whose own lines are its output."""

    def __init__(self, places: Places) -> None:
        self._places = places

    def open(self, name: str) -> int:
        """The program's log file, to append to."""
        return os.open(self._places.log(name), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def say(self, text: str) -> None:
        """Write a line of `up` itself to standard output, which is a log file too."""
        _write(f"{text}\n")

    def show(self, table: str) -> None:
        """Not into a log: whoever detached `up` shows it."""

    async def last_words(self, name: str) -> str:
        """The last line of the program's log, and the log's path."""
        log = self._places.log(name)
        return f"{_plain(_last_line(log))} (see {log})."

    async def drain(self) -> None:
        """The programs write their files themselves."""


def rotate(places: Places) -> None:
    """Keep the logs of the last `up` as `….log.1` and let all begin anew."""
    for log in places.log("up").parent.glob("*.log"):
        log.replace(log.with_name(f"{log.name}.1"))


def _write(text: str) -> None:
    try:
        os.write(1, text.encode())
    except OSError:
        return  # the terminal is gone; what runs must still be ended in order


async def _next_line(reader: asyncio.StreamReader) -> str:
    try:
        return (await reader.readline()).decode(errors="replace")
    except ValueError:  # over the limit; asyncio has thrown the line away
        return "(a line that was too long is left out)\n"


def _plain(line: str) -> str:
    """What a program of ours said to people, without the prefix that it gets once more."""
    return line.removeprefix("tidings: ").removesuffix(".")


def _last_line(log: Path) -> str:
    try:
        lines = log.read_text(errors="replace").strip().splitlines()
    except OSError:
        lines = []
    return lines[-1] if lines else "it said nothing"
