"""The broker: its process, its disk and memory, its connections."""

import shutil
import time
from contextlib import AbstractContextManager, ExitStack

from infra.local.greetings import speaks_amqp
from infra.rabbitmq.topology import TIERS
from tests.brokers import frozen, kill
from tests.drill.faults.fault import Fault, Lasting
from tests.drill.stage import Stage
from tests.waiting import until

#: Seconds for the broker's boot on a busy machine.
BOOT = 120.0


def boot(stage: Stage) -> float:
    """Start the broker; gives the moment at which its port answers."""
    stage.node.start()
    until(lambda: speaks_amqp(stage.node.ports.amqp), seconds=BOOT, what="the broker's port")
    answered = time.time()
    stage.node.wait_ready()
    return answered


class Killed(Fault):
    """kill -9, down for some seconds."""

    name = "broker-kill"
    seconds = 5.0

    def inject(self, stage: Stage) -> None:
        kill(stage.node)

    def heal(self, stage: Stage) -> float:
        return boot(stage)


class Restarted(Fault):
    """An orderly stop and a start."""

    name = "broker-restart"
    seconds = 0.0

    def inject(self, stage: Stage) -> None:
        stage.node.stop()

    def heal(self, stage: Stage) -> float:
        return boot(stage)


class Frozen(Lasting):
    """SIGSTOP: its connections stay open, and it says nothing."""

    name = "broker-freeze"
    seconds = 45.0

    def context(self, stage: Stage) -> AbstractContextManager[None]:
        return frozen(stage.node)


class Wiped(Fault):
    """Killed, and its data folder deleted, with messages in every queue: the consumers are stopped before."""

    name = "broker-wipe"
    #: Well below the shortest tier's delay: a retry waits there.
    seconds = 1.0
    #: What holds something then; dead letters are drained as they come.
    queues = ("welcome-email", "activity-log", "drill-journal", "drill-steps", "drill-faulty", TIERS[5])

    def __init__(self) -> None:
        self._stopped = ExitStack()

    def inject(self, stage: Stage) -> None:
        stage.load.poison_every = 5
        stage.pause(2.0)
        stage.load.poison_every = 0  # a long run of failures would pause the consumer
        self._stopped.enter_context(stage.programs.stopped("consumers"))
        until(lambda: self._all_hold_something(stage), seconds=4, what="messages in every queue")
        kill(stage.node)
        shutil.rmtree(stage.node.folder / "mnesia")

    def heal(self, stage: Stage) -> float:
        answered = boot(stage)
        self._stopped.close()  # the consumers start again only now: recovery has their start in it
        return answered

    def _all_hold_something(self, stage: Stage) -> bool:
        return all(stage.api.messages(stage.node.amqp, queue) for queue in self.queues)


class ConnectionsClosed(Fault):
    """The management API closes all AMQP connections, again and again."""

    name = "connections-closed"
    seconds = 0.0
    #: Rounds, and seconds between two: the list of connections is some seconds old.
    rounds, pause = 3, 3.0

    def inject(self, stage: Stage) -> None:
        for _ in range(self.rounds):
            for connection in stage.api.connections(stage.node.amqp):
                stage.api.close_connection(connection["name"])
            stage.pause(self.pause)


class MemoryAlarm(Lasting):
    """The broker's memory is too full for it to take a message."""

    name = "memory-alarm"

    def context(self, stage: Stage) -> AbstractContextManager[None]:
        return stage.api.memory_alarm()


class DiskAlarm(Lasting):
    """The broker's disk is too full for it to take a message."""

    name = "disk-alarm"

    def context(self, stage: Stage) -> AbstractContextManager[None]:
        return stage.api.disk_alarm()
