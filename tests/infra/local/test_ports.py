"""Free ports: the one wished for, else the next."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest

from infra.errors import ConfigurationError
from infra.local.ports import LOOPBACK, answers, free_port, is_free

#: Looks for a port, tells it, and ends when it is told to; binds nothing.
_START = "import sys; from infra.local.ports import free_port; print(free_port(int(sys.argv[1])), flush=True); input()"


@pytest.fixture
def taken() -> Iterator[int]:
    """A port that something listens on."""
    with socket.create_server((LOOPBACK, free_port(31000))) as server:
        yield server.getsockname()[1]


def test_a_free_port_is_taken_as_wished() -> None:
    wish = free_port(31000)
    assert free_port(wish) == wish


def test_a_taken_port_gives_way_to_a_later_one(taken: int) -> None:
    assert taken < free_port(taken) < taken + 100


def test_a_port_that_is_promised_to_another_server_is_passed_over() -> None:
    wish = free_port(31000)
    assert free_port(wish, {wish}) > wish


def test_a_port_taken_on_all_addresses_is_not_free_on_loopback() -> None:
    with socket.create_server(("0.0.0.0", free_port(31000))) as server:
        assert not is_free(server.getsockname()[1])


def test_a_bound_port_is_not_free_even_before_it_listens() -> None:
    with socket.socket() as holder:
        holder.bind((LOOPBACK, free_port(31000)))
        port = holder.getsockname()[1]
        assert (answers(port), is_free(port)) == (False, False)


def test_the_search_does_not_run_into_the_ports_of_outgoing_connections() -> None:
    with pytest.raises(ConfigurationError, match="No port from 32767 to 32767 is free"):
        free_port(32767, {32767})


def test_a_wish_among_the_ports_of_outgoing_connections_is_met() -> None:
    assert 45000 <= free_port(45000) < 65536


def _told(start: "subprocess.Popen[str]") -> int:
    assert start.stdout is not None
    return int(start.stdout.readline())


def _starts(wish: int, count: int) -> list["subprocess.Popen[str]"]:
    command = [sys.executable, "-c", _START, str(wish)]
    return [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(count)]


def test_ten_starts_at_once_are_promised_ten_ports_and_give_them_back_when_they_end() -> None:
    wish = 31100 + os.getpid() % 1000
    starts = _starts(wish, 10)
    ports = {_told(start) for start in starts}
    assert (10, True) == (len(ports), ports.isdisjoint({free_port(wish)}))
    for start in starts:
        start.communicate("\n", timeout=30)
    assert min(ports) == free_port(min(ports))


def test_a_port_is_promised_to_whoever_holds_it_until_that_one_is_killed() -> None:
    (start,) = _starts(31100 + os.getpid() % 1000, 1)
    port = _told(start)
    assert free_port(port) > port
    start.kill()
    start.communicate(timeout=30)
    assert free_port(port) == port
