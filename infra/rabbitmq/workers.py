"""Dramatiq's CLI, in this process: its worker processes are forks, which need not import everything once more."""

import multiprocessing

from dramatiq import cli

#: Milliseconds for a worker's orderly end, its grace time included.
_SHUTDOWN = 8_000
#: Milliseconds that the parent waits for its workers' start before it looks after them. Dramatiq's own 30 s are for
#: processes that we have none of; meanwhile it would not see that a worker died, nor hear SIGTERM.
_START = 1_000


def work(composition: str, *, processes: int) -> int:
    """Run worker processes until SIGTERM; each calls the composition root `module:function`. Gives the exit code.

    When one process ends by itself the others are stopped, and it is for whoever supervises us to start again.
    """
    arguments = ["--processes", str(processes), "--worker-shutdown-timeout", str(_SHUTDOWN), "--skip-logging"]
    arguments += ["--worker-fork-timeout", str(_START)]
    parsed = cli.make_argument_parser().parse_args([composition, *arguments])  # type: ignore[no-untyped-call]
    cli.multiprocessing = _Multiprocessing()  # type: ignore[assignment, attr-defined]  # Dramatiq has no door for it
    return int(cli.main(parsed))  # type: ignore[no-untyped-call]


class _Multiprocessing:
    """The module, its Event being ours; what is imported into it later (`connection`) is found too."""

    def __getattr__(self, name: str) -> object:
        return _Sign if name == "Event" else getattr(multiprocessing, name)


class _Sign:
    """A worker's word to its parent that it has started, without a lock.

    Dramatiq takes an Event for it. A worker whose first message kills it while it sets that (a crash in a C extension,
    the kernel's out-of-memory killer) dies with the Event's lock, and the parent waits for that for ever: a program
    that looks alive, and handles nothing.
    """

    def __init__(self) -> None:
        self._parents, self._workers = multiprocessing.Pipe(duplex=False)

    def set(self) -> None:
        """Give it; by the worker."""
        self._workers.send_bytes(b"started")

    def wait(self, timeout: float) -> bool:
        """Wait for it, for so many seconds; by the parent."""
        return self._parents.poll(timeout)
