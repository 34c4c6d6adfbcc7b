"""Newer RabbitMQs than the installed one: unpacked from a newer Debian into the user's cache, and kept there.

Nothing is installed: the folder is a root of its own, which `Node(..., root=...)` runs a broker in. To have a rolling
suite's newest version again, delete its folder.
"""

import fcntl
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from infra.errors import BrokerUnavailable, ConfigurationError
from infra.local.install import Installer, Package, Say
from infra.local.node import Node

#: Suites of Debian in the order of preference: RabbitMQ 4.3 and later (it rolls), and 4.0.
SUITES = ("forky", "trixie")
#: Seconds for the download and unpacking of one; 15 to 40 s are usual.
DEADLINE = 600.0

_WITHOUT = "run the tests without it: ./tidings test -k 'not 4.x'"
_MMDEBSTRAP = Package("mmdebstrap", "mmdebstrap", "mmdebstrap", _WITHOUT)
_PACKAGES = (
    "rabbitmq-server", "base-files", "bash", "coreutils", "dash", "sed", "gawk", "grep", "procps", "hostname",
    "util-linux", "libc-bin",
)  # fmt: skip
_KEYS = "/usr/share/keyrings/debian-archive-keyring.gpg"


def root(prefer: str = SUITES[0], say: Say = print) -> Path:
    """The folder of the preferred suite, or of another one when that cannot be had; unpacked unless it is there.

    Raises:
        ConfigurationError: none can be unpacked here; the text says why of each.
    """
    if os.geteuid() != 0:
        raise ConfigurationError(f"RabbitMQ 4 is unpacked and run by root alone: be root, or {_WITHOUT}.")
    reasons = []
    for suite in _by_preference(prefer):
        try:
            return unpacked(suite, say)
        except ConfigurationError as error:
            reasons.append(str(error))
    raise ConfigurationError(f"{' '.join(reasons)} Check the network, or {_WITHOUT}.")


def started(make: Callable[[Path], Node], prefer: str = SUITES[0], say: Say = print) -> Node:
    """A node in the preferred root, or in the next one when it does not boot there.

    Raises:
        ConfigurationError: none can be unpacked here.
        BrokerUnavailable: none of them boots.
    """
    reasons = []
    for suite in _by_preference(prefer):
        node = make(root(suite, say))
        try:
            node.start(wait=True)
        except BrokerUnavailable as error:
            node.stop(seconds=0)
            reasons.append(str(error))
        else:
            return node
    raise BrokerUnavailable(" ".join(reasons))


def version(root: Path) -> str:
    """Version of the RabbitMQ in a root, `/` for the installed one."""
    found = sorted((root / "usr/lib/rabbitmq/lib").glob("rabbitmq_server-*"))
    return found[-1].name.partition("-")[2] if found else "none"


def unpacked(suite: str, say: Say = print) -> Path:
    """The suite's folder, made if it is missing or incomplete; two test runs make it one after the other.

    Raises:
        ConfigurationError: it cannot be unpacked here.
    """
    folder = _cache() / f"rabbitmq-{suite}"
    with _locked(folder.with_suffix(".lock")):
        if not _marker(folder).exists():
            _unpack(suite, folder, say)
    return folder


def _unpack(suite: str, folder: Path, say: Say) -> None:
    if shutil.which("mmdebstrap") is None:
        Installer(say).install(_MMDEBSTRAP)
    shutil.rmtree(folder, ignore_errors=True)
    say(f"Unpacking RabbitMQ of Debian {suite} into {folder}; this takes about half a minute.")
    command = [
        "mmdebstrap", "--mode=root", "--variant=extract", f"--include={','.join(_PACKAGES)}", f"--keyring={_KEYS}",
        '--aptopt=APT::Install-Recommends "false"', '--aptopt=Acquire::Check-Valid-Until "false"',
        suite, str(folder), "-",
    ]  # fmt: skip
    done = _run(command, _sources(suite))
    if done.returncode != 0 or version(folder) == "none":
        raise ConfigurationError(f"RabbitMQ of Debian {suite} cannot be unpacked: {_errors(done.stderr)}")
    (folder / "etc/hosts").write_text("127.0.0.1 localhost\n")  # else the node does not find its own name
    _marker(folder).write_text(f"{version(folder)}\n")


def _sources(suite: str) -> str:
    """The lines of sources.list(5), on the mirror that this machine's apt uses anyway."""
    targets = _run(["apt-get", "indextargets", "--format", "$(REPO_URI)"]).stdout.split()
    mirror = next((target.rstrip("/") for target in targets if target.rstrip("/").endswith("/debian")), None)
    if mirror is None:
        raise ConfigurationError("apt knows no mirror of Debian here: run the tests on Debian.")
    security = f"deb {mirror}-security {suite}-security main\n" if suite == "trixie" else ""
    return f"deb {mirror} {suite} main\n{security}"


def _run(command: list[str], given: str = "") -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(command, input=given, capture_output=True, text=True, check=False, timeout=DEADLINE)
    except FileNotFoundError:
        raise ConfigurationError(f"{command[0]} is not there: run the tests on Debian.") from None
    except subprocess.TimeoutExpired:
        raise ConfigurationError(f"{command[0]} did not end within {DEADLINE:g} s.") from None


def _errors(said: str) -> str:
    lines = [line.strip() for line in said.splitlines() if line.startswith(("E:", "Err:", "W: Failed"))]
    return " ".join(lines[:3]) or "it did not say why."


def _by_preference(prefer: str) -> list[str]:
    return [prefer, *(suite for suite in SUITES if suite != prefer)]


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tidings"


def _marker(folder: Path) -> Path:
    """Written last: a folder without it is a half-done one."""
    return folder / "complete"


@contextmanager
def _locked(file: Path) -> Iterator[None]:
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # let go when it is closed, however this process ends
        yield
