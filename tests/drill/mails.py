"""The mail server as a witness: who was sent a mail, how often, when, and under which Message-ID."""

import re
from collections import defaultdict
from dataclasses import dataclass

from tests.mailbox import Answer, Mailbox

#: The server has the mail, whatever it answered.
TAKEN = frozenset({Answer.ACCEPT, Answer.HANG, Answer.DROP})
_MESSAGE_ID = re.compile(rb"^message-id:\s*(\S+)", re.IGNORECASE | re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Copy:
    """One mail that the server took."""

    #: time.time().
    at: float
    message_id: str
    answer: Answer


class Mails:
    """Reads the server's log on, from where it read last."""

    def __init__(self, mailbox: Mailbox) -> None:
        self._mailbox = mailbox
        self._read = 0
        #: Recipient -> copies in order of arrival.
        self.taken: dict[str, list[Copy]] = defaultdict(list)

    def look(self) -> None:
        """Note what came since the last look."""
        log = self._mailbox.log
        end = len(log)
        for attempt in log[self._read : end]:
            if attempt.answer in TAKEN:
                found = _MESSAGE_ID.search(attempt.content)
                copy = Copy(attempt.at, found.group(1).decode() if found else "", attempt.answer)
                for recipient in attempt.recipients:
                    self.taken[recipient].append(copy)
        self._read = end
