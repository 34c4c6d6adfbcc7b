"""The bytes of a mail: nothing in a text can break out of the lines that it is put in."""

import quopri
from email import message_from_bytes, policy
from typing import Any

import pytest

from infra import mime


@pytest.mark.parametrize(
    "text", ["a\rb", "a\r\nb", "a\nb", "x\r\r\n.\r\nMAIL", "a\r.\rb", "ä" * 200, "\r", ".", "line \r\nnext\t\r"]
)
def test_a_body_has_whole_line_ends_only(text: str) -> None:
    wire = mime.body(text)
    assert b"\r" not in wire.replace(b"\r\n", b"")
    assert b"\n" not in wire.replace(b"\r\n", b"")
    assert text.replace("\r\n", "\n").replace("\r", "\n") == quopri.decodestring(wire.replace(b"\r\n", b"\n")).decode()


@pytest.mark.parametrize("text", ["Welcome", "ä" * 120, "x" * 59 + "=?", "long " * 40])
def test_a_header_has_lines_of_a_length_that_every_server_takes(text: str) -> None:
    assert all(len(line) < 79 for line in mime.header(text).split(b"\r\n "))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("report.csv", b"a,b\r\n1,2\r\n"),
        ("empty.csv", b""),
        ("Bericht \u00fc.bin", bytes(range(256)) * 20),
        ("hostile", b"--=-tidings-mail-=--\r\n.\r\nQUIT\r\n=-place-FILES-="),
    ],
)
def test_a_file_arrives_as_it_was_and_the_text_beside_it(name: str, content: bytes) -> None:
    form = mime.form("a@example.org", "example.org", has_html=True, has_files=True)
    files = mime.files([mime.Attachment(name, "text/csv; charset=utf-8", content)] * 2)
    wire = form.fill(TO=b"b@example.org", SUBJECT=b"s", DATE=b"d", KEY=b"k", TEXT=b"text", HTML=b"<p>", FILES=files)
    message: Any = message_from_bytes(wire, policy=policy.default)
    assert b"\n" not in wire.replace(b"\r\n", b"")
    assert max(len(line) for line in wire.split(b"\r\n")) < 200
    assert [(name, content)] * 2 == [
        (each.get_filename(), each.get_payload(decode=True)) for each in message.iter_attachments()
    ]
    assert ["text", "<p>"] == [message.get_body((kind,)).get_content().strip() for kind in ("plain", "html")]
