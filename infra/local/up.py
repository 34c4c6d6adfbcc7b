"""`./tidings up`: starts everything in order, keeps it running, and stops it all on a signal."""

import asyncio
import fcntl
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager

from infra.errors import AlreadyUp, NotStarted
from infra.local import pidfile, record, reload, table
from infra.local.broker import Broker
from infra.local.child import Child
from infra.local.leftovers import end_leftovers
from infra.local.output import Output
from infra.local.places import Places
from infra.local.plan import PROGRAMS, ROOT, Plan
from infra.local.supervisor import Keeper, Supervised, end_all

#: Seconds for the first start: of a broker on a slow machine, of a program, of a migration.
_BROKER_SECONDS, _PROGRAM_SECONDS, _STEP_SECONDS = 120.0, 60.0, 300.0
#: Seconds that programs, and after them the servers, may take to end before they are killed; together below 15.
_PROGRAMS_END, _SERVERS_END = 6.0, 7.0


class Up:
    """One run of `up`, from its first start to its last stop."""

    def __init__(self, plan: Plan, output: Output, *, watch: bool) -> None:
        self._plan = plan
        self._output = output
        self._watch = watch
        self._record = plan.record()
        self._servers = [self._keeper(server) for server in _servers(plan, output)]
        self._programs = [self._keeper(plan.program(name, output)) for name in PROGRAMS]
        self._steps: list[Child] = []
        self._is_up = False

    async def run(self) -> bool:
        """Start all, and stop all after SIGINT, SIGTERM or SIGHUP; gives whether all was ready in between.

        Raises:
            TidingsError: something could not be started; all that was is stopped again.
        """
        self._record.processes = [keeper.process for keeper in (*self._servers, *self._programs)]
        self._save()
        asked = asyncio.create_task(self._listen().wait())
        work = asyncio.create_task(self._work())
        await asyncio.wait({work, asked}, return_when=asyncio.FIRST_COMPLETED)
        for task in (work, asked):
            task.cancel()
        await asyncio.wait({work, asked})
        await self._end()
        if not work.cancelled() and (problem := work.exception()):
            raise _first(problem)
        return self._is_up

    def _keeper(self, program: Supervised) -> Keeper:
        return Keeper(program, say=self._output.say, changed=self._save)

    def _save(self) -> None:
        try:
            record.write(self._plan.places.record, self._record)
        except OSError as error:  # a full disk, say: what runs goes on all the same
            self._output.say(f"{self._plan.places.record} could not be written: {error.strerror}")

    def _listen(self) -> asyncio.Event:
        """Set by the first signal; a second one kills everything at once."""
        asked = asyncio.Event()

        def stop() -> None:
            if asked.is_set():
                self._kill_all()
            asked.set()

        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:  # nohup means what it says
                asyncio.get_running_loop().add_signal_handler(number, stop)
        return asked

    async def _work(self) -> None:
        await self._start()
        self._is_up = True
        self._output.show(table.opening(self._record, "Ctrl-C stops it."))
        if self._watch:
            await self._follow_changes()
        await asyncio.Event().wait()

    async def _start(self) -> None:
        """The broker takes longest, so everything that does not need it is done meanwhile."""
        for line in self._plan.moves():
            self._output.say(line)
        async with asyncio.TaskGroup() as together:
            for keeper in self._servers:
                together.create_task(keeper.begin(_BROKER_SECONDS))
            together.create_task(self._step(self._plan.migration(self._output), "the database is up to date"))
        await self._step(self._plan.declaration(self._output), "the queues are declared")
        async with asyncio.TaskGroup() as together:
            for keeper in self._programs:
                together.create_task(keeper.begin(_PROGRAM_SECONDS))

    async def _step(self, child: Child, done: str) -> None:
        """A program that has to end well before others start."""
        self._steps.append(child)
        began = time.monotonic()
        await child.start()
        try:
            ended = await asyncio.wait_for(child.died(), _STEP_SECONDS)
        except TimeoutError:
            raise NotStarted(f"{child.name} took over {_STEP_SECONDS:g} s: {await child.last_words()}") from None
        if ended != "exit code 0":
            raise NotStarted(f"{child.name} failed, {ended}: {await child.last_words()}")
        self._output.say(f"{done} ({time.monotonic() - began:.1f} s)")

    async def _follow_changes(self) -> None:
        async for paths in reload.changes(ROOT):
            names = reload.concerned(paths, PROGRAMS)
            self._output.say(f"{', '.join(paths[:3])} changed: {', '.join(names)} start anew")
            chosen = [keeper for keeper in self._programs if keeper.process.name in names]
            again = [self._declare_again()] if "consumers" in names else []
            await asyncio.gather(*again, *(keeper.reload(_PROGRAMS_END) for keeper in chosen))

    async def _declare_again(self) -> None:
        """A new consumer misses nothing from now on, though its program takes some seconds to end and start."""
        declaration = self._plan.declaration(self._output)
        try:
            await self._step(declaration, "the queues are declared")
        except NotStarted as error:  # the program says the same when it starts
            self._output.say(str(error))
        self._steps.remove(declaration)

    def _kill_all(self) -> None:
        self._output.say("killing everything")
        for keeper in (*self._programs, *self._servers):
            keeper.kill()

    async def _end(self) -> None:
        """Programs first: they finish what they are at, for which they need the servers."""
        self._output.say("stopping")
        await asyncio.gather(*(step.stop(1) for step in self._steps))
        await end_all(self._programs, _PROGRAMS_END)
        await end_all(self._servers, _SERVERS_END)
        await self._output.drain()
        self._plan.places.record.unlink(missing_ok=True)  # its addresses are nobody's any more
        self._output.say("stopped")


@contextmanager
def sole(places: Places) -> Iterator[None]:
    """Be the only `up` of this state folder; what one that was killed left running is ended first.

    Raises:
        AlreadyUp: another runs.
    """
    with places.lock.open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise AlreadyUp("Tidings runs already here: ./tidings status shows it.") from None
        pidfile.write(places.supervisor, os.getpid())
        end_leftovers(places)
        yield


def _servers(plan: Plan, output: Output) -> Iterator[Supervised]:
    if plan.node:
        yield Broker(plan.node)
    if plan.has_mail_sink:
        yield plan.mail_sink(output)


def _first(problem: BaseException) -> BaseException:
    """What went wrong first, out of the group that a TaskGroup wraps it in."""
    return _first(problem.exceptions[0]) if isinstance(problem, BaseExceptionGroup) else problem
