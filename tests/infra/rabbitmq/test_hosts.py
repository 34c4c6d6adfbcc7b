"""Several hosts in the URL: whoever answers is used, by publishers and consumers alike."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest

from infra.errors import BrokerUnavailable
from infra.local.node import Node
from infra.rabbitmq.messages import Message
from infra.rabbitmq.publisher import Publisher
from tests.drill.proxy import Proxy
from tests.waiting import until
from tests.workers import Bench, collect

#: Nobody listens there: a connection is refused at once.
NOBODY = "127.0.0.1:1"
MESSAGE = Message("", "log", b"x", "an-id", "t", {}, correlation_id=None, timestamp=None, app_id="test")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def gate(rabbitmq: Node) -> Iterator[Proxy]:
    """Another way to the broker, which can be shut."""
    proxy = Proxy(rabbitmq.ports.amqp)
    proxy.start()
    yield proxy
    proxy.stop()


def and_first(url: str, *hosts: str) -> str:
    """The URL with these hosts in front of its own."""
    login, _, rest = url.rpartition("@")
    return f"{login}@{','.join([*hosts, rest])}"


@contextmanager
def silent() -> Iterator[str]:
    """A host that takes connections and says nothing, as a frozen one does."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


@pytest.mark.anyio
async def test_a_publisher_passes_over_a_host_that_refuses(bench: Bench) -> None:
    bench.declare("log")
    publisher = Publisher(and_first(bench.vhost, NOBODY, NOBODY), name="test")
    await publisher.publish(MESSAGE)
    await publisher.close()
    assert 1 == bench.api.messages(bench.vhost, "log")


@pytest.mark.anyio
async def test_a_publisher_gives_a_silent_host_its_deadline_and_then_tries_the_next(bench: Bench) -> None:
    bench.declare("log")
    with silent() as host:
        publisher = Publisher(and_first(bench.vhost, host), name="test", deadline=0.5)
        with pytest.raises(BrokerUnavailable, match=r"did not answer within 0\.5 s"):
            await publisher.connect()
        await publisher.publish(MESSAGE)
        await publisher.close()
    assert 1 == bench.api.messages(bench.vhost, "log")


@pytest.mark.anyio
async def test_a_publisher_whose_hosts_all_refuse_says_so_in_one_line(bench: Bench) -> None:
    publisher = Publisher(f"amqp://someone:secret@{NOBODY},{NOBODY}/v", name="test")
    with pytest.raises(BrokerUnavailable, match=r"^RabbitMQ cannot be reached: [^\n]*$") as raised:
        await publisher.connect()
    await publisher.close()
    assert "secret" not in str(raised.value)


@pytest.mark.anyio
async def test_a_publisher_whose_host_is_gone_goes_to_another_one(bench: Bench, gate: Proxy) -> None:
    bench.declare("log")
    publisher = Publisher(and_first(bench.vhost, f"127.0.0.1:{gate.port}"), name="test")
    await publisher.publish(MESSAGE)
    with gate.cut():
        with suppress(BrokerUnavailable):  # it may have to learn first that its connection is lost
            await publisher.publish(MESSAGE)
        await publisher.publish(MESSAGE)
        await publisher.close()


def test_consumers_whose_host_is_gone_go_to_another_one(bench: Bench, gate: Proxy) -> None:
    bench.declare("log")
    bodies: list[bytes] = []
    elsewhere = Bench(bench.api, and_first(bench.vhost, f"127.0.0.1:{gate.port}"))
    with elsewhere.working({"log": collect(bodies)}, redeclare=lambda: None), gate.cut():
        bench.send("log", b"x")
        until(lambda: bodies == [b"x"], what="the delivery")


def test_consumers_pass_over_a_host_that_refuses(bench: Bench) -> None:
    bench.declare("log")
    elsewhere = Bench(bench.api, and_first(bench.vhost, NOBODY))
    with elsewhere.working({"log": collect([])}, redeclare=lambda: None) as broker:
        assert {"log": True} == broker.attached
