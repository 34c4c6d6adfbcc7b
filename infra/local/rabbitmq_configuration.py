"""What a node is told before it boots: its files, and its environment, in which nothing of the system's is left."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from infra.local import accounts, programs
from infra.local.ports import LOOPBACK
from infra.settings import keep_private

_CONFIGURATION = """\
listeners.tcp.1 = 127.0.0.1:{ports.amqp}
management.tcp.ip = 127.0.0.1
management.tcp.port = {ports.management}
load_definitions = {folder}/definitions.json
disk_free_limit.absolute = 200MB
raft.wal_max_size_bytes = 67108864
log.console = false
log.file.level = info
"""


@dataclass(frozen=True, slots=True)
class Ports:
    """The ports that a node listens on; as a wish, each stands for itself or the next free one."""

    amqp: int = 5672
    management: int = 15672
    distribution: int = 25672
    epmd: int = 24369


def write(folder: Path, ports: Ports, passwords: Mapping[str, str]) -> None:
    """Write the node's files; what lies in `conf.d` already counts, too, and a cookie that is there stays."""
    for name in ("mnesia", "log", "config", "schema", "conf.d"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    (folder / "rabbitmq-env.conf").write_text("")
    (folder / "advanced.config").write_text("[].\n")
    (folder / "enabled_plugins").write_text("[rabbitmq_management].\n")
    (folder / "rabbitmq.conf").write_text(_CONFIGURATION.format(ports=ports, folder=folder))
    keep_private(folder / "definitions.json", accounts.definitions(passwords))
    if not (cookie := folder / ".erlang.cookie").exists():
        keep_private(cookie, secrets.token_hex(16))


def environment(name: str, folder: Path, ports: Ports, server: Path | None) -> Mapping[str, str]:
    """All that the broker and its tools are given: nothing of the caller's environment, no file of the system's."""
    path = programs.FOLDERS if server is None else (str(server.parent), *programs.FOLDERS)
    return {
        "HOME": str(folder),  # the Erlang cookie is read from there
        "PATH": ":".join(path),
        "LANG": "C.UTF-8",
        "ERL_EPMD_ADDRESS": LOOPBACK,
        "ERL_EPMD_PORT": str(ports.epmd),
        "ERL_CRASH_DUMP": f"{folder}/log/erl_crash.dump",
        "RABBITMQ_NODENAME": name,
        "RABBITMQ_DIST_PORT": str(ports.distribution),
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
        "RABBITMQ_MNESIA_BASE": f"{folder}/mnesia",
        "RABBITMQ_LOG_BASE": f"{folder}/log",
        "RABBITMQ_CONFIG_FILE": f"{folder}/rabbitmq.conf",
        "RABBITMQ_CONFIG_FILES": f"{folder}/conf.d/*.conf",
        "RABBITMQ_ADVANCED_CONFIG_FILE": f"{folder}/advanced.config",
        "RABBITMQ_CONF_ENV_FILE": f"{folder}/rabbitmq-env.conf",
        "RABBITMQ_ENABLED_PLUGINS_FILE": f"{folder}/enabled_plugins",
        "RABBITMQ_GENERATED_CONFIG_DIR": f"{folder}/config",
        "RABBITMQ_SCHEMA_DIR": f"{folder}/schema",
        "RABBITMQ_PID_FILE": f"{folder}/beam.pid",
        # The start script then replaces itself by the broker, so that our child is the broker: signals hit it.
        "RUNNING_UNDER_SYSTEMD": "true",
    }
