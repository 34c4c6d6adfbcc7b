"""The topology: somebody deletes in the management UI what Tidings needs."""

from urllib.parse import quote

from infra.rabbitmq.topology import EVENTS
from tests.drill.faults.fault import Fault
from tests.drill.stage import VHOST, Stage
from tests.waiting import until


class QueueDeleted(Fault):
    """A consumer's queue is deleted with what waits in it, again and again."""

    name = "queue-deleted"
    queue = "drill-journal"
    seconds = 0.0
    #: Times, and seconds between two.
    rounds, interval = 3, 2.0

    def inject(self, stage: Stage) -> None:
        for _ in range(self.rounds):
            until(lambda: stage.api.has_queue(stage.node.amqp, self.queue), what=f"the queue {self.queue}")
            stage.api.delete_queue(stage.node.amqp, self.queue)
            stage.pause(self.interval)


class BindingDeleted(Fault):
    """A consumer's queue stays, and gets no events any more."""

    name = "binding-deleted"
    queue, key = "drill-journal", "user.registered"
    seconds = 0.0

    def inject(self, stage: Stage) -> None:
        path = f"bindings/{VHOST}/e/{EVENTS}/q/{self.queue}/{quote(self.key, safe='')}"
        stage.api.call("DELETE", path)
