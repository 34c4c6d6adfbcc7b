"""One program as a child process: in a session of its own, ended with all that it started, not outliving `up`."""

import asyncio
import functools
import os
import shutil
import signal
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from infra.errors import NotStarted
from infra.local import pidfile
from infra.local.output import Output
from infra.local.readiness import says_ready


@dataclass(frozen=True, slots=True)
class Launch:
    """How a program is started."""

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str] = field(repr=False)
    #: Working directory.
    folder: Path
    pid_file: Path
    #: URL that tells whether it is ready; None for a program that only has to end well.
    probe: str | None = None


class Child:
    """A program that the supervisor starts, watches and stops; it may be started again after it ended."""

    def __init__(self, launch: Launch, output: Output) -> None:
        self.name = launch.name
        self.probe = launch.probe
        self._launch = launch
        self._output = output
        self._process: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int | None:
        """The running process, None when there is none."""
        return self._process.pid if self._process and self._process.returncode is None else None

    async def start(self) -> None:
        """Start the process.

        Raises:
            NotStarted: the system refused.
        """
        launch, output = self._launch, self._output.open(self.name)
        try:
            # A session of its own: the terminal's Ctrl-C must reach `up` alone, which then ends all in order.
            self._process = await asyncio.create_subprocess_exec(
                *_lifeline(), *launch.command, env=launch.environment, cwd=launch.folder, start_new_session=True,
                stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
            )  # fmt: skip
        except OSError as error:
            raise NotStarted(f"{self.name} could not be started: {error}.") from None
        finally:
            os.close(output)
        pidfile.write(self._launch.pid_file, self._process.pid)

    async def is_ready(self) -> bool:
        """Whether the program answers its probe."""
        return self.probe is not None and await asyncio.to_thread(says_ready, self.probe)

    async def died(self) -> str:
        """Wait for the end of the process, end what it left behind, and tell how it ended."""
        if self._process is None:
            raise NotStarted(f"{self.name} was never started.")
        code = await self._end(self._process)
        return f"exit code {code}" if code >= 0 else f"signal {signal.Signals(-code).name}"

    async def stop(self, seconds: float) -> None:
        """Ask the process to end, and after `seconds` kill it and all that it started."""
        process = self._process  # that one: a reload may start the next while this waits
        if process is None:
            return
        if process.returncode is None:
            # Not to the group: a program ends its own children, to which a second TERM would mean "at once".
            process.terminate()
            await asyncio.wait({asyncio.ensure_future(process.wait())}, timeout=seconds)
        if process.returncode is None:
            end_group(process.pid)
        await self._end(process)

    def kill(self) -> None:
        """End the process and all that it started at once."""
        if self.pid is not None:
            end_group(self.pid)

    async def last_words(self) -> str:
        """What it said last."""
        return await self._output.last_words(self.name)

    async def _end(self, process: asyncio.subprocess.Process) -> int:
        """Wait for the end of the process, then end what it started; gives its exit code."""
        code = await process.wait()
        if self._process is process:  # only once, as the number may be a stranger's some day
            self._process = None
            end_group(process.pid)
            self._launch.pid_file.unlink(missing_ok=True)
        return code


def end_group(pid: int) -> None:
    """Kill what is left of the group that this process led; no new process gets the number while any is left."""
    try:
        os.killpg(pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):  # the latter is how macOS speaks of zombies
        return


@functools.cache
def _lifeline() -> tuple[str, ...]:
    """Prefix that has Linux end a program when `up` itself was killed; elsewhere the next `up` or `down` does it."""
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        return ()
    prefix = (setpriv, "--pdeathsig", "TERM", "--")
    done = subprocess.run([*prefix, "true"], capture_output=True, check=False)  # noqa: S603  # all of it is written here
    return prefix if done.returncode == 0 else ()
