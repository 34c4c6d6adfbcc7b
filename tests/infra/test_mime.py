"""The bytes of a mail: nothing in a text can break out of the lines that it is put in."""

import quopri

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
