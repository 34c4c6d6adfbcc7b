"""All faults, by name, and which of them a drill runs in what order."""

import random
from collections.abc import Sequence

from infra.errors import ConfigurationError
from infra.local.plan import PROGRAMS
from tests.drill.faults import broker, database, mail, messages, network, programs, queues
from tests.drill.faults.fault import Fault
from tests.mailbox import Answer


def faults(kind: str) -> dict[str, Fault]:
    """Every fault that this kind of database can have, new ones each time."""
    found: list[Fault] = [
        *(programs.Killed(name) for name in PROGRAMS),
        *(programs.Terminated(name) for name in PROGRAMS),
        programs.NoScheduler(),
        broker.Killed(), broker.Restarted(), broker.Frozen(), broker.Wiped(),
        broker.ConnectionsClosed(), broker.MemoryAlarm(), broker.DiskAlarm(),
        network.Cut(), network.Blackhole(), network.Slow(), network.ConfirmsDropped(),
        database.Locked(), database.Restarted(), database.Killed(),
        mail.Answering("smtp-4xx", Answer.DEFER),
        mail.Answering("smtp-5xx", Answer.REFUSE),
        mail.Hanging(),
        mail.Answering("smtp-drop", Answer.DROP, mails_may_double=True),
        messages.DuplicateStorm(), messages.Poison(),
        queues.QueueDeleted(), queues.BindingDeleted(),
    ]  # fmt: skip
    return {fault.name: fault for fault in found if fault.only_on in (None, kind)}


def chosen(names: Sequence[str], kind: str, shuffle: random.Random) -> list[Fault]:
    """The named faults, or all, in an order that the seed decides.

    Raises:
        ConfigurationError: there is no such fault, or not on this database.
    """
    known = faults(kind)
    if unknown := [name for name in names if name not in known]:
        raise ConfigurationError(f"No fault {', '.join(unknown)} on {kind}: choose from {', '.join(known)}.")
    found = [known[name] for name in (names or known)]
    shuffle.shuffle(found)
    return found
