"""The private node: reachable from this machine only, with secrets kept, gone without a trace when it is stopped."""

import ipaddress
import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.errors import BrokerUnavailable, ConfigurationError
from infra.local import programs
from infra.local.accounts import USER
from infra.local.node import Moved, Node, Ports
from infra.local.ports import LOOPBACK
from tests import processes
from tests.brokers import BrokerApi, frozen, kill
from tests.waiting import until

#: Far from the session's node.
FIRST = 9000 + os.getpid() % 1000 * 8
WISH = Ports(FIRST, FIRST + 2, FIRST + 4, FIRST + 6)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Folders of people have blanks and accents in their names."""
    return tmp_path / "mes données"


@pytest.fixture
def node(folder: Path) -> Iterator[Node]:
    """A node that is not started."""
    node = Node(folder, WISH)
    yield node
    node.stop(seconds=0)


def test_everything_that_a_node_starts_listens_on_loopback_only(rabbitmq: Node) -> None:
    where = processes.listeners(processes.of_folder(rabbitmq.folder))
    ports = rabbitmq.ports
    assert {port for _, port in where} == {ports.amqp, ports.management, ports.distribution, ports.epmd}
    assert all(ipaddress.ip_address(address).is_loopback for address, _ in where)


def test_only_their_owner_can_read_the_files_with_secrets(rabbitmq: Node) -> None:
    secrets = ("passwords.json", "definitions.json", ".erlang.cookie")
    assert {(rabbitmq.folder / name).stat().st_mode & 0o777 for name in secrets} == {0o600}


def test_the_definitions_hold_no_password_as_it_is(rabbitmq: Node) -> None:
    definitions = (rabbitmq.folder / "definitions.json").read_text()
    assert not any(password in definitions for password in rabbitmq.passwords.values())


def test_the_programs_user_is_no_administrator_and_there_is_no_guest(broker_api: BrokerApi) -> None:
    users = {user["name"]: user["tags"] for user in broker_api.call("GET", "users")}
    assert users == {USER: [], "operator": ["administrator"]}


def test_the_environment_of_the_caller_does_not_reach_the_broker(rabbitmq: Node) -> None:
    environment = Path(f"/proc/{rabbitmq.pid}/environ").read_bytes()
    assert b"PYTEST_CURRENT_TEST" not in environment


def test_a_new_start_ends_what_a_crash_left_over_and_keeps_data_and_passwords(folder: Path) -> None:
    with socket.create_server((LOOPBACK, FIRST)):
        first = Node(folder, WISH)
        first.start(wait=True)
    assert first.moved == [Moved("AMQP", FIRST, FIRST + 1)]
    with BrokerApi(first).channel(first.amqp) as channel:
        channel.confirm_delivery()
        channel.queue_declare("kept", durable=True, arguments={"x-queue-type": "quorum"})
        channel.basic_publish("", "kept", b"still here")
    left_over, password = first.pid, first.passwords[USER]

    second = Node(folder, WISH)
    second.start(wait=True)
    assert first.pid == second.pid != left_over
    assert (second.ports.amqp, second.moved) == (FIRST, [])
    assert second.passwords[USER] == password
    assert [body for _, body in BrokerApi(second).take(second.amqp, "kept")] == [b"still here"]

    second.stop(seconds=1)
    first.stop()
    assert processes.of_folder(folder) == set()
    assert list(folder.glob("*.pid")) == []


def test_a_killed_broker_comes_back_at_the_same_address(rabbitmq: Node) -> None:
    before = rabbitmq.amqp, rabbitmq.management
    kill(rabbitmq)
    assert not rabbitmq.is_ready()
    rabbitmq.start(wait=True)
    assert (rabbitmq.amqp, rabbitmq.management) == before


def test_a_frozen_broker_is_not_ready(rabbitmq: Node) -> None:
    with frozen(rabbitmq):
        assert not rabbitmq.is_ready()
    until(rabbitmq.is_ready, what="the broker's readiness")


def test_a_frozen_broker_is_ended_by_force(node: Node) -> None:
    node.start()
    assert node.pid is not None
    os.kill(node.pid, signal.SIGSTOP)
    node.stop(seconds=0.2)
    assert processes.of_folder(node.folder) == set()


def test_a_broker_that_dies_at_boot_says_why_in_one_line(node: Node) -> None:
    with socket.create_server((LOOPBACK, node.ports.distribution)), pytest.raises(BrokerUnavailable) as caught:
        node.start(wait=True)
    assert str(caught.value) == (
        "RabbitMQ stopped while it booted: another program took one of its ports meanwhile, so try again"
        f" (see {node.log})."
    )


def test_a_broker_that_does_not_become_ready_in_time_is_reported_with_its_log(node: Node) -> None:
    node.start()
    with pytest.raises(BrokerUnavailable, match=r"not ready within 0\.1 s: see .*\.log\.$"):
        node.wait_ready(0.1)


def test_without_an_installed_server_the_choices_are_named(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(programs, "rabbitmq", lambda *_: None)
    with pytest.raises(ConfigurationError, match="TIDINGS_RABBITMQ_URL"):
        node.start()


def test_a_node_never_started_has_no_process_and_can_be_stopped(node: Node) -> None:
    node.stop()
    assert node.pid is None
