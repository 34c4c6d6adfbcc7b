"""The programs of a drill, kept running as `./tidings up` keeps them, and ended as a fault wants it."""

import asyncio
import os
import signal
import sys
import threading
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

from infra.local.child import Child, Launch
from infra.local.output import LogFiles
from infra.local.places import Places
from infra.local.plan import PROGRAMS, ROOT
from infra.local.ports import LOOPBACK
from infra.local.supervisor import Keeper, end_all
from tests.waiting import until

T = TypeVar("T")
#: Seconds for a start on a busy machine, and for an orderly end.
START, END = 60.0, 10.0
#: Programs of which the drill has its own form.
_MODULES = {"scheduler": "tests.drill.clock"}


class Programs:
    """Gateway, consumers and scheduler under the supervisor, which runs in a thread of its own."""

    def __init__(
        self, places: Places, environment: Mapping[str, str], ports: Mapping[str, int], say: Callable[[str], None]
    ) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="programs", daemon=True)
        output = LogFiles(places)
        self._keepers = {
            name: Keeper(
                Child(
                    Launch(
                        name,
                        (sys.executable, "-m", _MODULES.get(name, name)),
                        {**environment, "TIDINGS_PROBE_PORT": str(ports[name])},
                        ROOT,
                        places.pid_file(name),
                        f"http://{LOOPBACK}:{ports[name]}/readyz",
                    ),
                    output,
                ),
                say=say,
                changed=lambda: None,
            )
            for name in PROGRAMS
        }

    def start(self) -> None:
        """Start all and wait until they are ready."""
        self._thread.start()
        self._run(self._begin())

    def stop(self) -> None:
        """End all; does nothing when they were never started."""
        if self._thread.is_alive():
            self._run(end_all(self._keepers.values(), END))
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(10)

    def pid(self, name: str) -> int:
        """The process of a program that runs, or that is just being started again."""
        return until(lambda: self._keepers[name].process.pid or 0, seconds=START, what=f"the start of {name}")

    def kill(self, name: str) -> None:
        """End a program and all its processes as a crash would (SIGKILL); it is started again."""
        os.killpg(self.pid(name), signal.SIGKILL)

    def terminate(self, name: str) -> None:
        """Tell a program to end in order (SIGTERM); it is started again."""
        os.kill(self.pid(name), signal.SIGTERM)

    def restarts(self, name: str) -> int:
        """How often it was started again."""
        return self._keepers[name].process.restarts

    def is_ready(self, name: str) -> bool:
        """Whether it runs and says that it is ready."""
        return self._keepers[name].process.state == "ready"

    @contextmanager
    def stopped(self, name: str) -> Iterator[None]:
        """Meanwhile a program does not run."""
        self._run(self._keepers[name].end(END))
        try:
            yield
        finally:
            self._run(self._keepers[name].begin(START))

    async def _begin(self) -> None:
        async with asyncio.TaskGroup() as together:
            for keeper in self._keepers.values():
                together.create_task(keeper.begin(START))

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(START + END)
