"""What is on the broker beside what should be: each difference in one line, and who can do something about it."""

from collections.abc import Iterator
from typing import Any, Literal

from pydantic import BaseModel, Field

from infra.rabbitmq import topology
from infra.rabbitmq.management import Binding, Present, Queue
from infra.topology.wanting import Wanted

#: What a queue's name is followed by for the one that its messages are in while it is made anew; no consumer's name has
#: a dot.
MIGRATING = ".migrating"
DESCRIPTION = "x-description"
_DELETE = "delete it in the management UI: it is made again"
_BY_HAND = f"{_DELETE} within 5 s, and the sweep sends again what waited in it"

Kind = Literal[
    "record", "exchange", "queue", "binding", "unbinding", "arguments", "migration", "by-hand", "orphan", "note"
]


class Difference(BaseModel):
    """One thing that is not as it should be."""

    kind: Kind = Field(
        description="record, exchange, queue, binding: missing; unbinding: too much; arguments: others than wanted; "
        "migration: one that was interrupted; by-hand: nothing does it by itself; orphan: nobody wants it; "
        "note: worth knowing."
    )
    #: Of the queue, exchange or consumer.
    name: str
    text: str
    #: Of a binding: its exchange and its routing key.
    exchange: str | None = None
    key: str | None = None
    #: Of arguments: name -> what it is and what is wanted.
    arguments: dict[str, dict[str, Any]] = {}

    @property
    def counts(self) -> bool:
        """Whether the broker is not as it should be."""
        return self.kind not in {"orphan", "note"}


def differences(wanted: Wanted, present: Present) -> list[Difference]:
    """All of them, in the order in which they would be put right."""
    return [
        *_records(wanted),
        *_exchanges(present),
        *(each for name in wanted.queues for each in _queue(wanted, present, name)),
        *_unbindings(wanted, present),
        *_strangers(wanted, present),
        *_workers(wanted, present),
    ]


def _records(wanted: Wanted) -> Iterator[Difference]:
    for name in sorted(wanted.unrecorded):
        yield Difference(kind="record", name=name, text=f"consumer {name} is not recorded as its module has it")
    for name in sorted(wanted.moduleless):
        text = f"consumer {name} is recorded, but no module here subscribes it"
        yield Difference(kind="note", name=name, text=f"{text}; for good? ./tidings consumers retire {name}")


def _exchanges(present: Present) -> Iterator[Difference]:
    for name, kind in topology.exchanges().items():
        has = present.exchanges.get(name)
        if has is None:
            yield Difference(kind="exchange", name=name, text=f"exchange {name} is missing")
        elif (has.kind, has.durable) != (kind.value, True):
            what = f"{has.kind}{'' if has.durable else ', not durable'}"
            text = f"exchange {name} is {what}, wanted {kind.value}; {_DELETE} within 5 s"
            yield Difference(kind="by-hand", name=name, text=text)


def _queue(wanted: Wanted, present: Present, name: str) -> Iterator[Difference]:
    queue, has = wanted.queues[name], present.queues.get(name)
    if has is None:
        yield Difference(kind="queue", name=name, text=f"queue {name} is missing")
    else:
        yield from _arguments(queue, has)
    for key in queue.keys:
        if has is None or Binding(queue.exchange, key, name) in present.bindings:
            continue
        text = f"queue {name} is not bound to {queue.exchange}{_by(key)}"
        yield Difference(kind="binding", name=name, text=text, exchange=queue.exchange, key=key)
    if name + MIGRATING in present.queues:
        text = f"queue {name}: its migration was interrupted, and {name}{MIGRATING} may still hold messages"
        yield Difference(kind="migration", name=name, text=text)


def _arguments(queue: topology.Queue, has: Queue) -> Iterator[Difference]:
    there = {**has.arguments, "durable": has.durable}
    should = {**queue.arguments, "durable": True}
    other = {
        name: {"has": there.get(name), "wanted": should.get(name)}
        for name in sorted(there.keys() | should.keys())
        if there.get(name) != should.get(name)
    }
    if not other:
        return
    text = f"queue {queue.name}: " + "; ".join(
        f"{name} is {_shown(each['has'])}, wanted {_shown(each['wanted'])}" for name, each in other.items()
    )
    if queue.name not in topology.TIERS.values():
        yield Difference(kind="arguments", name=queue.name, text=text, arguments=other)
    elif other.keys() == {DESCRIPTION}:
        yield Difference(kind="note", name=queue.name, text=text, arguments=other)
    else:
        yield Difference(kind="by-hand", name=queue.name, text=f"{text}; {_BY_HAND}", arguments=other)


def _unbindings(wanted: Wanted, present: Present) -> Iterator[Difference]:
    for binding in sorted(present.bindings, key=lambda each: (each.queue, each.exchange, each.key)):
        queue = wanted.queues.get(binding.queue)
        if queue is None and binding.queue not in wanted.retiring:
            continue
        if queue is not None and binding.exchange == queue.exchange and binding.key in queue.keys:
            continue
        text = f"queue {binding.queue} is bound to {binding.exchange}{_by(binding.key)}, which it should not be"
        yield Difference(kind="unbinding", name=binding.queue, text=text, exchange=binding.exchange, key=binding.key)


def _strangers(wanted: Wanted, present: Present) -> Iterator[Difference]:
    expected = {*wanted.queues, *(name + MIGRATING for name in wanted.queues), *wanted.retiring}
    for name in sorted(present.queues.keys() - expected):
        queue = present.queues[name]
        whose = f", of a consumer that {wanted.retired[name]} retired" if name in wanted.retired else ""
        holds = f"{queue.ready + queue.unacked} messages, {queue.consumers} consumers"
        text = f"queue {name} is wanted by nobody{whose} ({holds})"
        yield Difference(kind="orphan", name=name, text=text)
    for name in sorted(wanted.retiring & present.queues.keys()):
        yield Difference(
            kind="note", name=name, text=f"queue {name} is being retired: {present.queues[name].ready} wait"
        )


def _workers(wanted: Wanted, present: Present) -> Iterator[Difference]:
    for name in sorted(wanted.consumers & present.queues.keys()):
        queue = present.queues[name]
        if queue.consumers == 0:
            why = "its consumer is paused" if name in wanted.paused else "no worker takes from it"
            yield Difference(kind="note", name=name, text=f"queue {name}: {why} ({queue.ready} messages wait)")


def _by(key: str) -> str:
    return f" by {key}" if key else ""


def _shown(value: object) -> str:
    return "not set" if value is None else f"{value!r}"
