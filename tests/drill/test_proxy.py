"""The proxy: hands everything on, and fails as it is told, before a real broker."""

import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pika
import pytest
from pika.exceptions import AMQPError

from infra.local.node import Node
from infra.local.ports import LOOPBACK
from tests.brokers import BrokerApi
from tests.drill.proxy import Proxy
from tests.waiting import until

#: Seconds after which a silence counts as one.
SILENCE = 0.3


@pytest.fixture
def proxy(rabbitmq: Node) -> Iterator[Proxy]:
    running = Proxy(rabbitmq.ports.amqp)
    running.start()
    yield running
    running.stop()


@pytest.fixture
def connection(proxy: Proxy, rabbitmq: Node, vhost: str) -> Iterator[pika.BlockingConnection]:
    """A client of the broker through the proxy."""
    url = vhost.replace(f":{rabbitmq.ports.amqp}/", f":{proxy.port}/")
    opened = pika.BlockingConnection(pika.URLParameters(url))
    yield opened
    if opened.is_open:
        opened.close()


def greeting(proxy: Proxy) -> bytes:
    """The broker's first bytes, or none."""
    with closing(socket.create_connection((LOOPBACK, proxy.port), timeout=5)) as client:
        try:
            client.sendall(b"AMQP\x00\x00\x09\x01")
            return client.recv(1)
        except OSError:
            return b""


def test_messages_pass_and_deliveries_are_counted(proxy: Proxy, connection: pika.BlockingConnection) -> None:
    channel = connection.channel()
    channel.confirm_delivery()
    channel.queue_declare("q")
    channel.basic_publish("", "q", b"x", pika.BasicProperties(message_id="1"))
    for method, _, body in channel.consume("q", consumer_tag="q here", inactivity_timeout=5):
        assert b"x" == body
        channel.basic_nack(method.delivery_tag, requeue=not method.redelivered)
        if method.redelivered:
            break
    assert (2, 1) == (proxy.deliveries.total, proxy.deliveries.duplicates)


def test_a_cut_resets_every_connection_and_each_new_one(proxy: Proxy, connection: pika.BlockingConnection) -> None:
    with proxy.cut():
        with pytest.raises(AMQPError):
            connection.channel()
        assert b"" == greeting(proxy)
    assert b"\x01" == greeting(proxy)


def test_a_blackhole_keeps_what_it_gets_and_hands_it_on_afterwards(proxy: Proxy) -> None:
    with closing(socket.create_connection((LOOPBACK, proxy.port), timeout=5)) as client:
        with proxy.blackhole():
            client.sendall(b"AMQP\x00\x00\x09\x01")
            client.settimeout(SILENCE)
            with pytest.raises(TimeoutError):
                client.recv(1)
        client.settimeout(5)
        assert b"\x01" == client.recv(1)


def test_a_delay_holds_up_each_direction(proxy: Proxy) -> None:
    began = time.monotonic()
    with proxy.delayed(SILENCE):
        assert b"\x01" == greeting(proxy)
    assert 2 * SILENCE <= time.monotonic() - began


def test_a_dropped_confirm_leaves_the_message_in_the_queue(
    proxy: Proxy, connection: pika.BlockingConnection, broker_api: BrokerApi, vhost: str
) -> None:
    channel = connection.channel()
    channel.queue_declare("q")
    channel.confirm_delivery()
    with ThreadPoolExecutor(1) as pool, proxy.dropping_confirms():
        publishing = pool.submit(channel.basic_publish, "", "q", b"x")
        until(lambda: proxy.dropped, what="the confirm")
        assert not publishing.done()
        with proxy.cut(), pytest.raises(AMQPError):  # else the client waits for ever
            publishing.result(10)
    assert 1 == broker_api.messages(vhost, "q")


def test_after_the_end_nobody_listens(rabbitmq: Node) -> None:
    running = Proxy(rabbitmq.ports.amqp)
    running.start()
    running.stop()
    until(lambda: _refuses(running.port), what="the end of the proxy")


def _refuses(port: int) -> bool:
    try:
        socket.create_connection((LOOPBACK, port), timeout=1).close()
    except OSError:
        return True
    return False
