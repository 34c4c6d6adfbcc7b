"""Hostile bytes through a real uvicorn: each has one clear answer, none a 500, and the server goes on."""

import pytest

from tests.problems import told
from tests.web_server import WebServer

REFUSED = (400, "malformed-json")


@pytest.mark.parametrize(
    "body",
    [
        b"{", b"nul", b"'a'", b"\xef\xbb\xbf{}", b"\xff", b'{"name": "\xc3("}', b"{}{}", b"[1,]", b"\x00",
        b'{"name": NaN}', b'{"name": -Infinity}', b'{"name": 1e999}', b'{"name": ' + b"9" * 5000 + b"}",
        b'{"name": "a", "name": "b"}', b'{"name": "\\ud800"}', b'{"\\ud800": 1}',
        b"[" * 60_000, b"[" * 30_000 + b"]" * 30_000, b'{"a":' * 10_000 + b"1" + b"}" * 10_000,
    ],
)  # fmt: skip
def test_what_is_not_strictly_json_is_refused(server: WebServer, body: bytes) -> None:
    assert told(server.post(body)) == REFUSED


@pytest.mark.parametrize(
    "body", [b"null", b"5", b'"a"', b"[]", b"{}", b"true", b'{"": 1}', b'{"' + b"k" * 60_000 + b'": 1}']
)
def test_json_of_another_shape_is_invalid(server: WebServer, body: bytes) -> None:
    answer = server.post(body)
    assert told(answer) == (422, "invalid")
    assert len(answer.body) < 2000


def test_a_body_of_the_largest_size_is_read_and_one_byte_more_is_not(server: WebServer) -> None:
    body = b'{"name": "Ada", "email": "ada@example.com"}'
    assert told(server.post(body + b" " * (64 * 1024 - len(body) + 1))) == (413, "body-too-large")
    assert server.post(body + b" " * (64 * 1024 - len(body))).status == 201


def test_a_huge_announced_body_is_refused_before_it_is_sent(server: WebServer) -> None:
    head = b"POST /users HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 10000000000\r\n\r\n"
    assert told(server.send(head)) == (413, "body-too-large")


def test_a_chunked_body_without_a_length_is_counted(server: WebServer) -> None:
    head = b"POST /users HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n"
    chunk = b"4000\r\n" + b" " * 0x4000 + b"\r\n"
    assert told(server.send(head, *[chunk] * 5)) == (413, "body-too-large")


def test_a_large_body_that_no_route_reads_is_refused_as_a_problem_too(server: WebServer) -> None:
    assert told(server.post(b" " * 100_000, path="/nowhere")) == (413, "body-too-large")


@pytest.mark.parametrize("path", ["/users/%00", "/users/%ff", "/%2e%2e/etc/passwd", "/users//", "/" + "a" * 60_000])
def test_strange_paths_are_not_found_or_ask_for_the_token(server: WebServer, path: str) -> None:
    answer = server.send(f"GET {path} HTTP/1.1\r\nhost: x\r\n\r\n".encode())
    assert told(answer) in [(404, "not-found"), (401, "unauthorized")]


def test_the_server_goes_on(server: WebServer) -> None:
    server.send(b"\x16\x03\x01 this is not HTTP\r\n\r\n")
    assert server.send(b"GET /livez HTTP/1.1\r\nhost: x\r\n\r\n").status == 200
