"""What each answer of a mail server means: of this mail or of us, for good or for now, and how long we wait for it."""

import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator

import pytest

from infra import smtp
from infra.errors import EffectFailed, EffectRefused, EffectUnknown
from infra.smtp import Smtp

GOOD = {
    "EHLO": b"250-scripted\r\n250 PIPELINING\r\n",
    "MAIL": b"250 ok\r\n",
    "RCPT": b"250 ok\r\n",
    "DATA": b"354 go on\r\n",
    ".": b"250 taken\r\n",
}
AUTH = b"250-scripted\r\n250 AUTH PLAIN\r\n"


class Scripted:
    """A mail server that gives the answers that it was given, and closes after a 421."""

    def __init__(self) -> None:
        self.answers = dict(GOOD)
        #: Answers that are given once, before those.
        self.once: dict[str, bytes] = {}
        #: Seconds before the answer to the whole message.
        self.slow = 0.0
        self.connections = 0
        self.bodies: list[bytes] = []
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, name="scripted mail server")
        self._thread.start()

    def close(self) -> None:
        """End; clients must have closed their connections."""
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self._thread.join(10)

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            self.connections += 1
            with connection, connection.makefile("rwb", buffering=0) as lines:
                try:
                    self._talk(connection, lines)
                except OSError:
                    continue

    def _talk(self, connection: socket.socket, lines: Iterable[bytes]) -> None:
        connection.sendall(b"220 scripted\r\n")
        body: list[bytes] | None = None
        for line in lines:
            if body is not None and line != b".\r\n":
                body.append(line)
                continue
            if body is not None:
                self.bodies.append(b"".join(body))
                time.sleep(self.slow)
            command = line.split()[0].decode().upper()
            answer = self.once.pop(command, None) or self.answers.get(command, b"502 what?\r\n")
            body = [] if answer.startswith(b"354") else None
            connection.sendall(answer)
            if answer.startswith(b"421"):
                return


@pytest.fixture
def server() -> Iterator[Scripted]:
    scripted = Scripted()
    yield scripted
    scripted.close()


@pytest.fixture
def send(server: Scripted) -> Iterator[Callable[[], None]]:
    client = Smtp(f"smtp://127.0.0.1:{server.port}")
    yield lambda: client.send("us@example.com", "ada@example.com", b"Hello\r\n")
    client._drop()


@pytest.mark.parametrize(
    ("command", "answer"),
    [
        ("EHLO", b"554 5.7.1 go away\r\n"),
        ("MAIL", b"530 5.7.0 Authentication required\r\n"),
        ("MAIL", b"554 5.7.1 Client host rejected\r\n"),
        ("MAIL", b"550 5.1.8 Sender address rejected\r\n"),
        ("RCPT", b"530 5.7.0 Authentication required\r\n"),
        ("DATA", b"554 no\r\n"),
        ("MAIL", b"421 4.3.2 closing\r\n"),
        ("RCPT", b"450 4.2.0 greylisted\r\n"),
        (".", b"421 4.3.2 closing\r\n"),
    ],
)
def test_an_answer_that_is_not_of_this_mail_is_no_reason_to_give_the_mail_up(
    server: Scripted, send: Callable[[], None], command: str, answer: bytes
) -> None:
    server.answers[command] = answer
    if command == "EHLO":
        server.answers["HELO"] = answer
    with pytest.raises(EffectFailed) as caught:
        send()
    assert EffectFailed is type(caught.value)
    assert answer[:3].decode() in str(caught.value)
    server.answers.update(GOOD)
    send()
    assert [b"Hello\r\n"] == server.bodies[-1:]


def test_a_login_that_is_refused_is_no_reason_to_give_the_mail_up(server: Scripted) -> None:
    server.answers |= {"EHLO": AUTH, "AUTH": b"535 5.7.8 wrong\r\n"}
    with pytest.raises(EffectFailed, match="535") as caught:
        Smtp(f"smtp://me:secret@127.0.0.1:{server.port}").send("us@example.com", "ada@example.com", b"Hello\r\n")
    assert EffectFailed is type(caught.value)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(("command", "answer"), [("RCPT", b"550 5.1.1 nobody\r\n"), (".", b"554 5.7.1 spam\r\n")])
def test_a_refused_recipient_or_message_is_final(
    server: Scripted, send: Callable[[], None], command: str, answer: bytes
) -> None:
    server.answers[command] = answer
    with pytest.raises(EffectRefused):
        send()


@pytest.mark.parametrize("extension", ["PIPELINING", "8BITMIME"])
def test_a_kept_connection_that_the_server_closes_politely_costs_a_new_one_and_no_mail(
    server: Scripted, send: Callable[[], None], extension: str
) -> None:
    server.answers["EHLO"] = f"250-scripted\r\n250 {extension}\r\n".encode()
    send()
    server.once["MAIL"] = b"421 4.4.2 idle for too long\r\n"
    send()
    assert (2, 2) == (server.connections, len(server.bodies))


def test_a_server_may_take_longer_for_its_last_answer_than_for_the_others(
    server: Scripted, send: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that scans each mail would otherwise get a copy with every further try."""
    monkeypatch.setattr(smtp, "TIMEOUT", 0.3)
    monkeypatch.setattr(smtp, "LAST_TIMEOUT", 5.0)
    server.slow = 0.6
    send()
    send()
    assert (1, 2) == (server.connections, len(server.bodies))


def test_the_longer_wait_is_for_the_last_answer_only(
    server: Scripted, send: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(smtp, "TIMEOUT", 0.3)
    send()
    server.answers["MAIL"] = b""
    server.answers["RCPT"] = b""
    server.answers["DATA"] = b""
    began = time.monotonic()
    with pytest.raises(EffectFailed) as caught:
        send()
    assert EffectUnknown is not type(caught.value)
    assert 5 > time.monotonic() - began


def test_a_server_that_never_answers_the_message_leaves_it_unknown(
    server: Scripted, send: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(smtp, "LAST_TIMEOUT", 0.3)
    server.answers["."] = b""
    with pytest.raises(EffectUnknown, match="fell silent"):
        send()


def test_the_last_answer_is_awaited_within_the_time_of_a_delivery() -> None:
    assert 10.0 == smtp.TIMEOUT < smtp.LAST_TIMEOUT < 60.0
