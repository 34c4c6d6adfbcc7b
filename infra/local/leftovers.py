"""Ends what an `up` that was itself killed left running."""

from infra.local import pidfile
from infra.local.child import end_group
from infra.local.node import Node
from infra.local.places import Places

#: Seconds that each gets before it is killed.
_PATIENCE = 5.0


def end_leftovers(places: Places) -> list[str]:
    """End them, known by number and start time so that no stranger is hit; gives their names."""
    ended = []
    for file in sorted(places.supervisor.parent.glob("*.pid")):
        pid = pidfile.read(file)
        if file != places.supervisor and pid is not None:
            pidfile.end(file, _PATIENCE)
            end_group(pid)
            ended.append(file.stem)
    node = Node(places.rabbitmq)
    if node.pid is not None:
        ended.append("rabbitmq")
    node.stop(_PATIENCE)
    places.record.unlink(missing_ok=True)
    return ended
