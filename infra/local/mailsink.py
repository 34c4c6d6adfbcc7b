"""`python -m infra.local.mailsink`: a mail server on loopback that delivers nothing; each mail becomes a file."""

import asyncio
import contextlib
import json
import re
import signal
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from aiosmtpd.smtp import SMTP, Envelope, Session

from infra import commands
from infra.errors import ConfigurationError
from infra.local.ports import LOOPBACK

#: Largest mail, in bytes; told to clients by SMTP's SIZE.
LARGEST = 10 * 1024 * 1024
#: Connections that may wait to be accepted.
_BACKLOG = 1024
#: RFC 5321, section 4.1.1.4: what ends a mail.
_END = b"\r\n.\r\n"
#: Bytes taken from a connection at once.
_PIECE = 256 * 1024
_PLAIN_ADDRESS = re.compile(r"<([^\s<>@\"]+@[^\s<>@\"]+)>(?: +(.*))?")
_UNSAFE = re.compile(r"[^A-Za-z0-9@._+-]+")
#: Leaves room for time and suffix in the 255 bytes that file systems grant.
_LONGEST_RECIPIENT = 100
_MESSAGE_ID = re.compile(rb"^message-id:\s*(\S+)", re.IGNORECASE | re.MULTILINE)

app = commands.make("Take all mail on loopback and keep it as files.")


class Folder:
    """The mailbox: `.eml` files whose names sort by arrival, and beside the folder a list of them in JSON lines."""

    def __init__(self, path: Path) -> None:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._path = path
        self._list = witness(path).open("ab", buffering=0)
        self._last = 0

    def keep(self, sender: str, recipients: list[str], content: bytes) -> None:
        """Write one mail: complete as soon as it can be seen, but not forced to the disk."""
        moment = self._next_moment()
        name = f"{moment:%Y%m%dT%H%M%S.%fZ}-{_safe(recipients)}.eml"
        draft = self._path / f".{name}.draft"
        draft.write_bytes(content)
        draft.rename(self._path / name)
        line = {
            "time": moment.isoformat(),
            "message_id": _message_id(content),
            "from": sender,
            "to": recipients,
            "size": len(content),
            "file": name,
        }
        self._list.write(json.dumps(line).encode() + b"\n")

    def close(self) -> None:
        """Close the list."""
        self._list.close()

    def _next_moment(self) -> datetime:
        """Now, but later than the mail before, so that names are different and in order."""
        self._last = max(time.time_ns() // 1000, self._last + 1)
        seconds, microseconds = divmod(self._last, 1_000_000)
        return datetime.fromtimestamp(seconds, UTC).replace(microsecond=microseconds)


class Greeting:
    """What the sink can do beyond aiosmtpd's own list."""

    async def handle_EHLO(  # noqa: N802  # aiosmtpd's name and arguments
        self, _server: SMTP, session: Session, _envelope: Envelope, hostname: str, responses: list[str]
    ) -> list[str]:
        """Called by aiosmtpd: says that a client may send MAIL, RCPT and DATA in one packet (RFC 2920)."""
        session.host_name = hostname
        return [*responses[:-1], "250-PIPELINING", responses[-1]]


class Sink(SMTP):
    """One client's connection."""

    def __init__(self, folder: Folder, loop: asyncio.AbstractEventLoop) -> None:
        # The default for the host name is a look-up that can take seconds.
        super().__init__(
            Greeting(), data_size_limit=LARGEST, enable_SMTPUTF8=True, hostname="localhost", ident="Tidings", loop=loop
        )
        self._folder = folder

    async def smtp_DATA(self, arg: str | None) -> None:  # noqa: ARG002, N802  # aiosmtpd's name, and its one argument
        """Take a mail in large pieces: aiosmtpd's own way, line by line, takes most of its time."""
        envelope = self.envelope
        if envelope is None or not envelope.rcpt_tos:
            await self.push("503 Error: need RCPT command")
            return
        await self.push("354 End data with <CR><LF>.<CR><LF>")
        content = await self._content()
        await self.push("552 Error: Too much mail data" if content is None else self._keep(envelope, content))
        self.envelope = self._create_envelope()

    def _getaddr(self, arg: str) -> tuple[str | None, str | None]:
        """Read a plain address by one expression, which halves the CPU of a mail; aiosmtpd reads all others."""
        plain = _PLAIN_ADDRESS.fullmatch(arg)
        return (plain[1], plain[2] or "") if plain else super()._getaddr(arg)

    async def _content(self) -> bytes | None:
        """The mail without the dots that RFC 5321, section 4.5.2, adds, or None if it is too large."""
        too_large = False
        taken = bytearray(b"\r\n")  # so that the end, and a dot that was added, look the same in the first line
        while not taken.endswith(_END):
            taken += await self._reader.read(_PIECE)
            if len(taken) > LARGEST + len(_END):
                too_large = True
                del taken[: -len(_END)]
        return None if too_large else bytes(taken[: -len(b".\r\n")].replace(b"\r\n..", b"\r\n.")[2:])

    def _keep(self, envelope: Envelope, content: bytes) -> str:
        try:
            self._folder.keep(envelope.mail_from or "", list(envelope.rcpt_tos), content)
        except OSError as error:
            return f"452 4.3.1 the mailbox folder: {error.strerror}"
        return "250 OK"


def witness(folder: Path) -> Path:
    """The list beside a mailbox folder: one JSON line for each mail, in order of arrival, without its text."""
    return folder.with_name(f"{folder.name}.jsonl")


@app.command()
def take(
    folder: Annotated[Path, typer.Option(help="Where the mails are kept.")],
    port: Annotated[int, typer.Option(help="Where to listen, on loopback.")],
) -> None:
    """Take all mail on loopback and keep it as files, until TERM or Ctrl-C."""
    asyncio.run(serve(folder, port))


async def serve(folder: Path, port: int) -> None:
    """Take mail until the process is told to end.

    Raises:
        ConfigurationError: the port is taken, or the folder cannot be written.
    """
    loop = asyncio.get_running_loop()
    ending = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ending.set)
    try:
        with contextlib.closing(Folder(folder)) as mailbox:
            server = await loop.create_server(lambda: Sink(mailbox, loop), LOOPBACK, port, backlog=_BACKLOG)
            await ending.wait()
            server.close()
    except OSError as error:
        raise ConfigurationError(f"The mail sink cannot use port {port} and {folder}: {error.strerror}.") from None


def _safe(recipients: list[str]) -> str:
    more = f"+{len(recipients) - 1}-more" if len(recipients) > 1 else ""
    return _UNSAFE.sub("_", recipients[0])[:_LONGEST_RECIPIENT] + more


def _message_id(content: bytes) -> str | None:
    headers = content.partition(b"\r\n\r\n")[0]
    found = _MESSAGE_ID.search(headers)
    return found.group(1).decode(errors="replace") if found else None


if __name__ == "__main__":
    commands.run(app, "mailsink")
