"""The mail server."""

import time

from tests.drill.faults.fault import Fault
from tests.drill.stage import Stage
from tests.mailbox import Answer


class Answering(Fault):
    """The server answers every mail so."""

    def __init__(self, name: str, answer: Answer, *, seconds: float = 8.0, mails_may_double: bool = False) -> None:
        self.name = name
        self.seconds = seconds
        self.mails_may_double = mails_may_double
        self._answer = answer

    def inject(self, stage: Stage) -> None:
        stage.mailbox.always = self._answer

    def heal(self, stage: Stage) -> float:
        stage.mailbox.always = Answer.ACCEPT
        return time.time()


class Hanging(Answering):
    """It takes mails and falls silent; in the end it is started anew, which closes its connections."""

    def __init__(self) -> None:
        super().__init__("smtp-hang", Answer.HANG, mails_may_double=True)

    def heal(self, stage: Stage) -> float:
        stage.mailbox.pause()
        stage.mailbox.always = Answer.ACCEPT
        stage.mailbox.start()
        return time.time()
