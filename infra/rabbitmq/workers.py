"""Dramatiq's CLI, in this process: its worker processes are forks, which need not import everything once more."""

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
    return int(cli.main(parsed))  # type: ignore[no-untyped-call]
