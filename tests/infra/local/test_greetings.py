"""Readiness is a greeting in the right protocol, not an open port."""

from infra.local.greetings import speaks_amqp
from infra.local.node import Node
from infra.local.ports import free_port
from tests.greetings import speaks_smtp
from tests.mailbox import Mailbox


def test_a_broker_speaks_amqp(rabbitmq: Node) -> None:
    assert speaks_amqp(rabbitmq.ports.amqp)


def test_a_mail_server_speaks_another_protocol(mailbox: Mailbox) -> None:
    assert (True, False) == (speaks_smtp(mailbox.port), speaks_amqp(mailbox.port))


def test_a_closed_port_speaks_nothing() -> None:
    assert not speaks_amqp(free_port(31000))
