"""Readiness is a greeting in the right protocol, not an open port."""

from infra.local.greetings import speaks_amqp, speaks_smtp
from infra.local.node import Node
from infra.local.ports import free_port
from tests.mailbox import Mailbox


def test_a_broker_speaks_amqp_and_no_smtp(rabbitmq: Node) -> None:
    assert (speaks_amqp(rabbitmq.ports.amqp), speaks_smtp(rabbitmq.ports.amqp, 0.1)) == (True, False)


def test_a_mail_server_speaks_smtp_and_no_amqp(mailbox: Mailbox) -> None:
    assert (speaks_smtp(mailbox.port), speaks_amqp(mailbox.port)) == (True, False)


def test_a_closed_port_speaks_nothing() -> None:
    port = free_port(31000)
    assert (speaks_smtp(port), speaks_amqp(port)) == (False, False)
