"""Free ports: the one wished for, else the next."""

import socket
from collections.abc import Iterator

import pytest

from infra.errors import ConfigurationError
from infra.local.ports import LOOPBACK, answers, free_port, is_free


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
