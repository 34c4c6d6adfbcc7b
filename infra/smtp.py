"""SMTP (RFC 5321) with its answers sorted by what they mean for us: for good, for now, or unknown."""

import re
import smtplib
import ssl
import threading
import time
from urllib.parse import unquote, urlsplit

from infra.errors import ConfigurationError, EffectError, EffectFailed, EffectRefused, EffectUnknown

#: Seconds for each answer of the server but the last one.
TIMEOUT = 10.0
#: Seconds for the answer to the whole message: a server may look into it before it takes it (RFC 5321, section
#: 4.5.3.2.6, grants ten minutes), and who gives up then sends a second copy. Below the time limit of a delivery.
LAST_TIMEOUT = 45.0
#: Seconds after which an idle connection is not trusted any more: servers close theirs after some minutes.
_IDLE = 30.0
_OK, _GO_ON, _CLOSING, _LOG_IN_FIRST = 250, 354, 421, 530
_LEADING_DOT = re.compile(rb"(?m)^\.")
_PORTS = {"smtp": 25, "smtp+starttls": 587, "smtps": 465}


class Smtp:
    """Sends messages; each thread keeps a connection of its own open between them."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in _PORTS or not parts.hostname:
            raise ConfigurationError("TIDINGS_SMTP_URL: use smtp://host:port, smtp+starttls://… or smtps://…")
        self._scheme = parts.scheme
        self._host = parts.hostname
        self._port = parts.port or _PORTS[parts.scheme]
        self._login = (unquote(parts.username), unquote(parts.password or "")) if parts.username else None
        self._mine = threading.local()

    def send(self, sender: str, to: str, message: bytes) -> None:
        """Hand one message to the server; returns after its 250.

        Raises:
            EffectRefused: 5xx to the recipient or to the message, or the server cannot take such an address.
            EffectFailed: 4xx; 5xx to us (login, sender, our address); timeout or disconnect before the message was
                complete.
            EffectUnknown: timeout or disconnect after it was.
        """
        try:
            _hand_over(self._begin(sender, to), message)
        except BaseException:  # whatever it was, the connection is in the middle of something
            self._drop()
            raise
        self._mine.used = time.monotonic()

    def check(self, seconds: float) -> None:
        """Say hello and goodbye over a connection of its own; `seconds` is for each answer.

        Raises:
            SMTPException, OSError: it does not do its work, or not for us.
        """
        with self._greeted(seconds) as server:
            code, answer = server.noop()
            if code != _OK:
                raise smtplib.SMTPResponseException(code, answer)

    def _begin(self, sender: str, to: str) -> smtplib.SMTP:
        """Envelope; once more over a new connection when the kept one turns out to be closed."""
        kept = self._connection()
        try:
            server = kept or self._connect()
            _envelope(server, sender, to)
        except (smtplib.SMTPServerDisconnected, ConnectionError) as error:
            self._drop()
            if kept is None:
                raise EffectFailed(f"The mail server closed the connection: {error}.") from error
            return self._begin(sender, to)
        except (smtplib.SMTPException, OSError) as error:
            raise EffectFailed(f"The mail server cannot be reached: {error}.") from error
        return server

    def _connection(self) -> smtplib.SMTP | None:
        if time.monotonic() - getattr(self._mine, "used", 0.0) > _IDLE:
            self._drop()
        server: smtplib.SMTP | None = getattr(self._mine, "server", None)
        return server

    def _connect(self) -> smtplib.SMTP:
        server = self._greeted(TIMEOUT)
        self._mine.server, self._mine.used = server, time.monotonic()
        return server

    def _greeted(self, seconds: float) -> smtplib.SMTP:
        server = self._dial(seconds)
        try:
            if self._scheme == "smtp+starttls":
                server.starttls(context=ssl.create_default_context())
            server.ehlo_or_helo_if_needed()
            if self._login is not None:
                server.login(*self._login)
        except BaseException:
            server.close()
            raise
        return server

    def _dial(self, seconds: float) -> smtplib.SMTP:
        if self._scheme == "smtps":
            context = ssl.create_default_context()
            return smtplib.SMTP_SSL(self._host, self._port, timeout=seconds, context=context)
        return smtplib.SMTP(self._host, self._port, timeout=seconds)

    def _drop(self) -> None:
        server: smtplib.SMTP | None = getattr(self._mine, "server", None)
        if server is not None:
            self._mine.server = None
            server.close()


def _envelope(server: smtplib.SMTP, sender: str, to: str) -> None:
    """MAIL, RCPT and DATA: in one packet where the server allows it (RFC 2920), one by one elsewhere."""
    options = ""
    if not to.isascii():
        if not server.has_extn("smtputf8"):
            raise EffectRefused("The mail server takes no addresses beyond ASCII (SMTPUTF8).")
        server.command_encoding = "utf-8"
        options = " SMTPUTF8 BODY=8BITMIME"
    commands = (f"MAIL FROM:<{sender}>{options}", f"RCPT TO:<{to}>", "DATA")
    at_once = server.has_extn("pipelining")
    if at_once:
        server.send("".join(f"{command}{smtplib.CRLF}" for command in commands))
    for command, wanted in zip(commands, (_OK, _OK, _GO_ON), strict=True):
        code, answer = server.getreply() if at_once else server.docmd(command)
        if code == _CLOSING:  # the polite form of a disconnect
            raise smtplib.SMTPServerDisconnected(_said(code, answer))
        if code != wanted:
            raise _sorted(code, answer, of_the_mail=command.startswith("RCPT") and code != _LOG_IN_FIRST) from _refusal(
                command, code, answer
            )


def _hand_over(server: smtplib.SMTP, message: bytes) -> None:
    try:
        server.send(_stuffed(message))
        code, answer = _last_answer(server)
    except (smtplib.SMTPException, OSError) as error:
        raise EffectUnknown(f"The mail server fell silent after the message: {error}.") from error
    if code != _OK:
        raise _sorted(code, answer, of_the_mail=True) from smtplib.SMTPDataError(code, answer)


def _last_answer(server: smtplib.SMTP) -> tuple[int, bytes]:
    assert server.sock is not None
    server.sock.settimeout(LAST_TIMEOUT)
    answer = server.getreply()
    server.sock.settimeout(TIMEOUT)
    return answer


def _sorted(code: int, answer: bytes, *, of_the_mail: bool) -> EffectError:
    """What another answer than the wanted one means: 5xx to the mail or its recipient is for good.

    5xx to us, and not to the mail, is for an operator to mend, and then the mail goes.
    """
    is_for_good = of_the_mail and 500 <= code < 600
    return (EffectRefused if is_for_good else EffectFailed)(_said(code, answer))


def _refusal(command: str, code: int, answer: bytes) -> smtplib.SMTPException:
    """The same as smtplib would say it, for a consumer's retry rules; without addresses, which are personal."""
    match command.partition(" ")[0]:
        case "MAIL":
            return smtplib.SMTPSenderRefused(code, answer, "")
        case "RCPT":
            return smtplib.SMTPRecipientsRefused({"": (code, answer)})
        case _:
            return smtplib.SMTPDataError(code, answer)


def _said(code: int, answer: bytes) -> str:
    return f"The mail server answered {code} {answer.decode(errors='replace').partition(chr(10))[0].strip()[:200]}"


def _stuffed(message: bytes) -> bytes:
    """The message with its end mark; a line that begins with a dot gets another one (RFC 5321, section 4.5.2)."""
    return _LEADING_DOT.sub(b"..", message) + (b".\r\n" if message.endswith(b"\r\n") else b"\r\n.\r\n")
