"""Three schedulers and one consumers program on one database and one virtual host; killed and started as told."""

import random
import secrets
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from infra.database.engine import connect
from infra.local.ports import LOOPBACK, free_port
from infra.settings import environment_without_settings
from tests.brokers import BrokerApi
from tests.drill import journal
from tests.foreground import Program
from tests.system.crash_points.witnesses import Witnesses
from tests.waiting import until

REPLICAS = 3
#: Seconds that a replica lives at least and at most before it is killed, and that it stays dead.
_LIVES, _RESTS = (0.2, 4.0), (0.0, 2.0)


class Fleet:
    """Made at once; `close` ends everything."""

    def __init__(self, folder: Path, database_url: str, api: BrokerApi, first_port: int) -> None:
        self.kills = 0
        self._api = api
        self._vhost = api.create_vhost(f"replicas-{secrets.token_hex(4)}")
        self.database = connect(database_url)
        journal.create(self.database)
        self.witnesses = Witnesses(self.database, api, self._vhost, folder / "mailbox")
        self._folder, self._first_port = folder, first_port
        self._ports: list[int] = []
        self._environment = self._everywhere(database_url)
        self.schedulers = [self._program(f"scheduler-{number}", _CLOCK) for number in range(REPLICAS)]
        self.consumers = self._program("consumers", "consumers")
        self._declare()

    def start(self) -> None:
        """Start every program that does not run, and wait until all are ready."""
        programs = [*self.schedulers, self.consumers]
        for program in programs:
            if not program.is_running:
                program.start()
        for program in programs:
            program.await_ready()

    def channel(self) -> AbstractContextManager[Any]:
        """A channel of pika's on the virtual host."""
        return self._api.channel(self._vhost)

    def kill(self) -> None:
        """End all schedulers as a crash would."""
        for scheduler in self.schedulers:
            scheduler.kill()

    def kill_at_random(self, seconds: float, chance: random.Random) -> None:
        """Kill and start schedulers, each in a rhythm of its own, which is none."""
        turns = [_Turn(scheduler, chance) for scheduler in self.schedulers]
        ends = time.monotonic() + seconds

        def is_over() -> bool:
            for turn in turns:
                turn.take()
            return time.monotonic() > ends

        until(is_over, seconds=seconds + 30, what="the end of the killing")
        self.kills = sum(turn.kills for turn in turns)

    def close(self) -> None:
        """End everything."""
        for program in (*self.schedulers, self.consumers):
            program.kill()
        self.database.close()
        self._api.delete_vhost(self._vhost)

    def _declare(self) -> None:
        declaring = self._program("declare", "consumers", "declare")
        declaring.start()
        assert declaring.exit_code() == 0, f"The queues were not declared: see {declaring.log}"

    def _program(self, name: str, *command: str) -> Program:
        port = free_port(self._first_port, self._ports)
        self._ports.append(port)
        environment = self._environment | {"TIDINGS_PROBE_PORT": str(port)}
        return Program(command, environment, self._folder / f"{name}.log", f"http://{LOOPBACK}:{port}/readyz")

    def _everywhere(self, database_url: str) -> dict[str, str]:
        settings = {
            "DATABASE_URL": database_url,
            "RABBITMQ_URL": self._vhost,
            "SMTP_URL": f"smtp://{LOOPBACK}:9",  # nobody mails here
            "STATE_DIR": str(self._folder),
            "LOG_FORMAT": "json",
            "CONSUMER_PACKAGES": "tests.system.replicas.consumers",
        }
        return environment_without_settings() | {f"TIDINGS_{name}": value for name, value in settings.items()}


class _Turn:
    """One replica, and when it is next killed or started."""

    def __init__(self, program: Program, chance: random.Random) -> None:
        self.kills = 0
        self._program, self._chance = program, chance
        self._next = time.monotonic() + chance.uniform(*_LIVES)

    def take(self) -> None:
        """Kill it if its time is up, or start it again."""
        if time.monotonic() < self._next:
            return
        step: Callable[[], None] = self._program.kill if self._program.is_running else self._program.start
        self.kills += self._program.is_running
        step()
        self._next = time.monotonic() + self._chance.uniform(*(_LIVES if self._program.is_running else _RESTS))


_CLOCK = "tests.system.replicas.clock"
