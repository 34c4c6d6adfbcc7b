"""A mail server inside the test's own process, which keeps what it takes and fails as it is told."""

import asyncio
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from enum import Enum
from typing import Any

from aiosmtpd.smtp import SMTP

LOOPBACK = "127.0.0.1"


class Answer(Enum):
    """What the server does with a mail once it has all of it, or, the last one, with its recipient."""

    ACCEPT = "250 OK"
    DEFER = "451 4.3.0 try again later"
    REFUSE = "550 5.7.1 not here"
    #: Keeps the mail and never answers.
    HANG = "hang"
    #: Keeps the mail and closes the connection without an answer.
    DROP = "drop"
    REFUSE_RECIPIENT = "550 5.1.1 no such user"


@dataclass(frozen=True, slots=True)
class Attempt:
    """One mail that a client tried to hand over."""

    sender: str
    recipients: tuple[str, ...]
    content: bytes
    answer: Answer
    #: time.time().
    at: float = field(default_factory=time.time)

    @property
    def message(self) -> EmailMessage:
        """The mail, parsed."""
        return message_from_bytes(self.content, policy=policy.default)

    @property
    def message_id(self) -> str:
        return str(self.message["Message-ID"])


class Mailbox:
    """The server: `start`, then hand `url` to the program under test."""

    def __init__(self) -> None:
        #: Every attempt in order, refused ones too.
        self.log: list[Attempt] = []
        #: How the next mails are answered, one each; then `always`.
        self.script: deque[Answer] = deque()
        self.always = Answer.ACCEPT
        self.port = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="mailbox")
        self._server: asyncio.Server | None = None
        self._protocols: set[SMTP] = set()

    @property
    def url(self) -> str:
        return f"smtp://{LOOPBACK}:{self.port}"

    def answer(self, *answers: Answer) -> None:
        """Answer the next mails so, in this order."""
        self.script.extend(answers)

    def messages(self) -> list[EmailMessage]:
        """The mails that were taken, parsed, in order of arrival; a hung or dropped one was taken too."""
        taken = (Answer.ACCEPT, Answer.HANG, Answer.DROP)
        return [attempt.message for attempt in list(self.log) if attempt.answer in taken]

    def clear(self) -> None:
        """Forget all mails and all scripted answers."""
        self.log.clear()
        self.script.clear()
        self.always = Answer.ACCEPT

    def start(self) -> None:
        """Listen, at the port of the last time if there was one."""
        if not self._thread.is_alive():
            self._thread.start()
        self._on_loop(self._listen())

    def pause(self) -> None:
        """Close the port and all connections, as if the server were away; `start` brings it back."""
        self._on_loop(self._close())

    def stop(self) -> None:
        """End for good."""
        self.pause()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def handle_RCPT(  # noqa: N802  # the name is aiosmtpd's
        self, server: SMTP, session: Any, envelope: Any, address: str, options: Any
    ) -> str:
        """Called by aiosmtpd for each recipient."""
        if (self.script[0] if self.script else self.always) is Answer.REFUSE_RECIPIENT:
            self._record(envelope, [address], b"")
            return Answer.REFUSE_RECIPIENT.value
        envelope.rcpt_tos.append(address)
        return Answer.ACCEPT.value

    async def handle_DATA(self, server: SMTP, session: Any, envelope: Any) -> str:  # noqa: N802  # the name is aiosmtpd's
        """Called by aiosmtpd for each mail."""
        answer = self._record(envelope, envelope.rcpt_tos, envelope.original_content or b"")
        if answer is Answer.HANG:
            await asyncio.Event().wait()
        if answer is Answer.DROP:
            _abort(server)
        return answer.value

    def _record(self, envelope: Any, recipients: list[str], content: bytes) -> Answer:
        answer = self.script.popleft() if self.script else self.always
        self.log.append(Attempt(envelope.mail_from, tuple(recipients), content, answer))
        return answer

    def _protocol(self) -> SMTP:
        protocol = SMTP(self, enable_SMTPUTF8=True, loop=self._loop, hostname="mailbox.test")
        self._protocols.add(protocol)
        return protocol

    async def _listen(self) -> None:
        self._server = await self._loop.create_server(self._protocol, LOOPBACK, self.port, backlog=512)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _close(self) -> None:
        if self._server is not None:
            self._server.close()
        self._server = None
        for protocol in self._protocols:
            _abort(protocol)
        self._protocols.clear()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    def _on_loop(self, work: Any) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(10)


def _abort(protocol: SMTP) -> None:
    if isinstance(protocol.transport, asyncio.WriteTransport):
        protocol.transport.abort()
