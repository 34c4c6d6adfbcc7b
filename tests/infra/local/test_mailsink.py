"""The mail sink: every mail that it answers 250 for is a whole file, in order, and listed."""

import json
import smtplib
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest

from infra.local.mailsink import LARGEST, witness
from infra.local.ports import LOOPBACK, free_port
from tests import processes
from tests.greetings import speaks_smtp
from tests.waiting import until


class Sink:
    """A running sink."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder = folder
        self.port = port
        command = [
            sys.executable,
            "-W",
            "error",
            "-m",
            "infra.local.mailsink",
            "--folder",
            str(folder),
            "--port",
            str(port),
        ]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)

    def end(self) -> tuple[int, str]:
        """Exit code after TERM, and what it said on stderr."""
        self.process.terminate()
        _, said = self.process.communicate(timeout=10)
        return self.process.returncode, said

    def files(self) -> list[Path]:
        """The mails in order of arrival."""
        return sorted(self.folder.iterdir())

    def listed(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in witness(self.folder).read_text().splitlines()]

    def client(self) -> smtplib.SMTP:
        return smtplib.SMTP(LOOPBACK, self.port, local_hostname="test", timeout=10)


@pytest.fixture
def sink(tmp_path: Path) -> Iterator[Sink]:
    running = Sink(tmp_path / "mailbox", free_port(31500))
    until(lambda: speaks_smtp(running.port), what="the sink's greeting", seconds=30)
    yield running
    assert running.end() == (0, "")


def mail(number: int = 1, text: str = "Hello\n") -> EmailMessage:
    message = EmailMessage(policy=policy.SMTP)
    message["From"], message["To"], message["Message-ID"] = (
        "a@example.com",
        "ada@example.com",
        f"<{number}@example.com>",
    )
    message.set_content(text)
    return message


def test_a_mail_is_one_file_with_the_bytes_that_were_sent(sink: Sink) -> None:
    dots = mail(text=".\n..two\nthree\n.\n")
    with sink.client() as client:
        client.send_message(dots)
    assert [file.read_bytes() for file in sink.files()] == [dots.as_bytes()]


def test_a_mail_without_any_text_is_a_file_too(sink: Sink) -> None:
    with sink.client() as client:
        client.sendmail("a@example.com", ["b@example.com"], "")
    assert [file.read_bytes().strip() for file in sink.files()] == [b""]


def test_names_sort_by_arrival_and_hold_the_recipient(sink: Sink) -> None:
    with sink.client() as client:
        for number in range(20):
            client.send_message(mail(number), to_addrs=["ada+list@example.com"])
    found = [message_from_bytes(file.read_bytes(), policy=policy.default)["Message-ID"] for file in sink.files()]
    assert found == [f"<{number}@example.com>" for number in range(20)]
    assert all(file.name.endswith("-ada+list@example.com.eml") for file in sink.files())


@pytest.mark.parametrize("recipient", ["../../evil@example.com", "ünï@example.com", "x" * 200 + "@example.com"])
def test_a_recipient_cannot_choose_the_place_of_its_file(sink: Sink, recipient: str) -> None:
    with sink.client() as client:
        client.send_message(mail(), to_addrs=[recipient], mail_options=["SMTPUTF8"])
    (file,) = sink.files()
    assert file.parent == sink.folder
    assert "/" not in sink.listed()[0]["file"]
    assert sink.listed()[0]["to"] == [recipient]


def test_the_list_tells_who_wrote_to_whom_and_not_what(sink: Sink) -> None:
    with sink.client() as client:
        client.send_message(mail(7, "secret"), to_addrs=["b@example.com", "c@example.com"])
    (line,) = sink.listed()
    assert (line["from"], line["to"], line["message_id"]) == (
        "a@example.com", ["b@example.com", "c@example.com"], "<7@example.com>",
    )  # fmt: skip
    assert line["size"] == sink.files()[0].stat().st_size
    assert "secret" not in witness(sink.folder).read_text()


def test_only_the_owner_can_enter_the_mailbox(sink: Sink) -> None:
    assert sink.folder.stat().st_mode & 0o777 == 0o700


def test_it_listens_on_loopback_only(sink: Sink) -> None:
    assert processes.listeners({sink.process.pid}) == {(LOOPBACK, sink.port)}


def test_a_mail_over_the_limit_is_refused_and_leaves_no_file(sink: Sink) -> None:
    with sink.client() as client:
        client.ehlo()
        client.esmtp_features.pop("size")  # a client that does not ask first
        with pytest.raises(smtplib.SMTPDataError, match="Too much mail data"):
            client.sendmail("a@example.com", ["b@example.com"], "x" * 70 + "\r\n" + "y" * LARGEST)
        client.send_message(mail())
    assert len(sink.files()) == 1


def test_a_client_that_hangs_up_in_the_middle_leaves_no_file(sink: Sink) -> None:
    client = sink.client()
    client.ehlo()
    for command in ("MAIL FROM:<a@example.com>", "RCPT TO:<b@example.com>", "DATA"):
        client.docmd(command)
    client.send("Subject: half\r\n")
    client.close()
    with sink.client() as other:
        other.send_message(mail())
    assert len(sink.files()) == 1


def test_data_before_a_recipient_is_an_error(sink: Sink) -> None:
    with sink.client() as client:
        client.ehlo()
        assert client.docmd("DATA")[0] == 503


def test_many_clients_at_once_lose_nothing(sink: Sink) -> None:
    def send(number: int) -> None:
        with sink.client() as client:
            client.send_message(mail(number))

    with ThreadPoolExecutor(50) as threads:
        list(threads.map(send, range(300)))
    assert {line["message_id"] for line in sink.listed()} == {f"<{number}@example.com>" for number in range(300)}
    assert len(sink.files()) == len(sink.listed()) == 300


def test_a_second_start_goes_on_with_the_same_folder(sink: Sink) -> None:
    with sink.client() as client:
        client.send_message(mail(1))
    sink.end()
    again = Sink(sink.folder, sink.port)
    until(lambda: speaks_smtp(again.port), what="the sink's greeting", seconds=30)
    with again.client() as client:
        client.send_message(mail(2))
    assert [line["message_id"] for line in again.listed()] == ["<1@example.com>", "<2@example.com>"]
    assert again.end() == (0, "")


def test_a_taken_port_is_one_plain_line(tmp_path: Path) -> None:
    with socket.create_server((LOOPBACK, free_port(31500))) as holder:
        sink = Sink(tmp_path / "mailbox", holder.getsockname()[1])
        _, said = sink.process.communicate(timeout=30)
    assert sink.process.returncode == 1
    assert said.startswith(f"tidings: The mail sink cannot use port {sink.port} and ")
    assert said.count("\n") == 1
