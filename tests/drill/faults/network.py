"""The network between the programs and the broker."""

from contextlib import AbstractContextManager

from tests.drill.faults.fault import Lasting
from tests.drill.stage import Stage


class Cut(Lasting):
    """Every connection is reset, and each new one too."""

    name = "network-cut"

    def context(self, stage: Stage) -> AbstractContextManager[None]:
        return stage.proxy.cut()


class Blackhole(Lasting):
    """Nothing arrives, and nobody is told."""

    name = "network-blackhole"
    seconds = 20.0

    def context(self, stage: Stage) -> AbstractContextManager[None]:
        return stage.proxy.blackhole()


class Slow(Lasting):
    """Everything takes 200 ms longer, each way."""

    name = "network-delay"
    seconds = 10.0

    def context(self, stage: Stage) -> AbstractContextManager[None]:
        return stage.proxy.delayed(0.2)


class ConfirmsDropped(Lasting):
    """The broker takes every message, and no publisher hears of it."""

    name = "confirms-dropped"
    seconds = 10.0

    def context(self, stage: Stage) -> AbstractContextManager[None]:
        return stage.proxy.dropping_confirms()
