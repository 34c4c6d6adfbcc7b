"""The topology: somebody deletes in the management UI what Tidings needs."""

from urllib.parse import quote

from infra.rabbitmq.topology import EVENTS
from tests.drill.faults.fault import Fault
from tests.drill.stage import VHOST, Stage


class QueueDeleted(Fault):
    """A consumer's queue is deleted, with what waits in it."""

    name = "queue-deleted"
    queue = "drill-journal"
    #: Seconds for which its consumer is held up before, so that there is something in the queue.
    seconds = 0.0

    def inject(self, stage: Stage) -> None:
        stage.api.delete_queue(stage.node.amqp, self.queue)


class BindingDeleted(Fault):
    """A consumer's queue stays, and gets no events any more."""

    name = "binding-deleted"
    queue, key = "drill-journal", "user.registered"
    seconds = 0.0

    def inject(self, stage: Stage) -> None:
        path = f"bindings/{VHOST}/e/{EVENTS}/q/{self.queue}/{quote(self.key, safe='')}"
        stage.api.call("DELETE", path)
