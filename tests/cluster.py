"""Three RabbitMQ nodes on this machine as one cluster, each behind a gate of its own, and what may befall them."""

import contextlib
import secrets
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

from infra.local import programs
from infra.local.accounts import VHOST
from infra.local.node import Node, Ports
from infra.local.ports import LOOPBACK, answers, free_port
from infra.settings import keep_private
from tests.brokers import BrokerApi, frozen, kill
from tests.drill.proxy import Proxy
from tests.waiting import until

NAMES = ("one@localhost", "two@localhost", "three@localhost")
#: Seconds for three nodes to find one another; 3.10 takes more than half a minute.
FORMING = 120.0
#: `pause_minority` is for 3.10: later versions can do nothing else, and take no notice.
_CONFIGURATION = "\n".join(
    [
        "cluster_partition_handling = pause_minority",
        "cluster_formation.peer_discovery_backend = classic_config",
        *(f"cluster_formation.classic_config.nodes.{number} = {name}" for number, name in enumerate(NAMES, 1)),
        "",
    ]
)
#: A node that expects another secret of its peers than they know is cut off from them, whoever calls whom.
_ESTRANGE = "[begin erlang:set_cookie(N, {}), erlang:disconnect_node(N) end || N <- [{}]]."
_LEAD = (
    '{{ok, Q}} = rabbit_amqqueue:lookup(rabbit_misc:r(<<"tidings">>, queue, <<"{}">>)), '
    "rabbit_quorum_queue:transfer_leadership(Q, '{}')."
)


class Cluster:
    """Programs reach its nodes through the gates, so that a node's network can be cut."""

    def __init__(self, folder: Path, first_port: int, root: Path = programs.ROOT) -> None:
        self._folder = folder
        self._root = root
        self._epmd_port = free_port(first_port)
        self._epmd: subprocess.Popen[bytes] | None = None
        self.nodes = [self._node(name, first_port + 20 * place) for place, name in enumerate(NAMES, 1)]
        self.gates: list[Proxy] = []

    @property
    def amqp(self) -> str:
        """URL with all of its hosts."""
        login, _, rest = self.nodes[0].amqp.rpartition("@")
        hosts = ",".join(f"{LOOPBACK}:{gate.port}" for gate in self.gates)
        return f"{login}@{hosts}/{rest.partition('/')[2]}"

    @property
    def api(self) -> BrokerApi:
        """What tests ask of the cluster, by a node that runs."""
        return BrokerApi(next(node for node in self.nodes if node.is_ready()))

    def start(self) -> None:
        """Start all nodes side by side, and wait until they are one cluster."""
        self._start_epmd()
        for node in self.nodes:
            node.start()
        for node in self.nodes:
            node.wait_ready(FORMING)
            self.gates.append(gate := Proxy(node.ports.amqp))
            gate.start()
        until(self.is_whole, seconds=FORMING, what="the cluster's forming")

    def stop(self) -> None:
        """End everything at once: nobody needs the data."""
        for gate in self.gates:
            gate.stop()
        for node in self.nodes:
            node.stop(seconds=0)
        if self._epmd is not None:
            self._epmd.kill()
            self._epmd.wait()

    def is_whole(self) -> bool:
        """Whether all nodes are members of it and run."""
        try:
            running = [bool(node["running"]) for node in self.api.call("GET", "nodes")]
        except (AssertionError, OSError):  # a node that has just booted answers 500 for a while
            return False
        return running == [True] * len(NAMES)

    def host(self, queue: str) -> Node:
        """The node that a queue's one consumer is connected to."""
        return self._named(until(lambda: self._host(queue), seconds=30, what=f"one consumer of {queue}"))

    def lead(self, node: Node, *queues: str) -> None:
        """Make a node the leader of queues that another one leads."""
        for queue in queues:
            self.api.ctl("eval", _LEAD.format(queue, node.name))
            until(lambda: self.leader(queue) is node, seconds=30, what=f"the new leader of {queue}")  # noqa: B023

    def leader(self, queue: str) -> Node:
        """The node that leads a queue."""
        return self._named(self.api.call("GET", f"queues/{VHOST}/{queue}")["leader"])

    @contextlib.contextmanager
    def killed(self, node: Node) -> Iterator[None]:
        """Meanwhile the node is dead, as after a crash."""
        kill(node)
        yield
        node.start()

    @contextlib.contextmanager
    def frozen(self, node: Node) -> Iterator[None]:
        """Meanwhile the node's connections stay open and it says nothing."""
        with frozen(node):
            yield

    @contextlib.contextmanager
    def cut_off(self, node: Node) -> Iterator[None]:
        """Meanwhile nothing goes through between the node and its peers, nor between it and the programs."""
        gate = self.gates[self.nodes.index(node)]
        peers = ",".join(f"'{name}'" for name in NAMES if name != node.name)
        api = BrokerApi(node)
        with gate.blackhole():
            cookie = api.ctl("eval", "erlang:get_cookie().").strip()
            api.ctl("eval", _ESTRANGE.format("estranged", peers))
            try:
                yield
            finally:
                api.ctl("eval", _ESTRANGE.format(cookie, peers))

    def _host(self, queue: str) -> str | None:
        found = [each["channel_details"] for each in self.api.consumers(VHOST) if each["queue"]["name"] == queue]
        return str(found[0]["node"]) if len(found) == 1 and found[0] else None

    def _named(self, name: str | None) -> Node:
        return next(node for node in self.nodes if node.name == name)

    def _node(self, name: str, first_port: int) -> Node:
        folder = self._folder / name.partition("@")[0]
        ports = Ports(first_port, first_port + 1, first_port + 2, self._epmd_port)
        (folder / "conf.d").mkdir(parents=True)
        (folder / "conf.d" / "cluster.conf").write_text(_CONFIGURATION)
        self._share(".erlang.cookie", folder, lambda file: keep_private(file, secrets.token_hex(16)))
        node = Node(folder, ports, self._root, name, own_epmd=False)
        self._share("passwords.json", folder, lambda _: node.passwords)
        return node

    def _share(self, name: str, folder: Path, make: Callable[[Path], object]) -> None:
        """The first node's file is every node's."""
        first = self._folder / NAMES[0].partition("@")[0] / name
        if folder == first.parent:
            make(first)
        else:
            shutil.copy(first, folder / name)

    def _start_epmd(self) -> None:
        epmd = programs.epmd(self._root)
        assert epmd is not None
        command = [str(epmd), "-port", str(self._epmd_port), "-address", LOOPBACK]
        with (self._folder / "epmd.log").open("wb") as log:
            command = programs.inside(self._root, self.nodes[0].folder, command)
            self._epmd = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
        until(lambda: answers(self._epmd_port), what="Erlang's name server")
