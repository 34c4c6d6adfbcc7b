"""Installing what Tidings and its tests need where it is missing, by the machine's own package manager."""

import os
import platform
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from infra.errors import ConfigurationError
from infra.local import programs

Say = Callable[[str], None]
#: Runs a command to its end; gives its exit code and what it said.
Run = Callable[[Sequence[str]], tuple[int, str]]

_POLICY = Path("/usr/sbin/policy-rc.d")
#: Debian's invoke-rc.d(8): 101 forbids the packages' scripts to start a service.
_FORBID = "#!/bin/sh\nexit 101\n"
#: Waits for another apt-get that runs now, in seconds.
_APT_LOCK = "DPkg::Lock::Timeout=300"


def run(command: Sequence[str]) -> tuple[int, str]:
    """Run a command to its end, without questions; sudo may still ask for a password on the terminal."""
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)  # noqa: S603
    return done.returncode, done.stdout + done.stderr


@dataclass(frozen=True, slots=True)
class Package:
    """What is needed: how it is called, what it is called where, and what to do without it."""

    #: As people call it.
    name: str
    apt: str
    brew: str
    #: The way out where nothing can be installed.
    instead: str
    #: Whether it is a service that could start at boot.
    is_server: bool = True


RABBITMQ = Package(
    "RabbitMQ", "rabbitmq-server", "rabbitmq", "set TIDINGS_RABBITMQ_URL=amqp://user:password@host/vhost"
)
POSTGRESQL = Package("PostgreSQL", "postgresql", "postgresql@15", "run the tests without it: pytest -k 'not postgres'")
FAKETIME = Package(
    "libfaketime", "libfaketime", "libfaketime", "run the tests without it: pytest -k 'not clocks'", is_server=False
)
CHROMIUM = Package(
    "Chromium", "chromium", "chromium", "run the tests without it: pytest -k 'not browser'", is_server=False
)


def ensure_rabbitmq(say: Say) -> None:
    """Install RabbitMQ if it is missing; `say` gets a line when something is done.

    Raises:
        ConfigurationError: it is missing and cannot be installed; the text lists the choices.
    """
    if programs.rabbitmq("rabbitmq-server") is None or programs.epmd() is None:
        Installer(say).install(RABBITMQ)


def ensure_postgresql(say: Say) -> None:
    """Install PostgreSQL if it is missing; `say` gets a line when something is done.

    Raises:
        ConfigurationError: it is missing and cannot be installed; the text lists the choices.
    """
    if programs.postgresql("initdb") is None:
        Installer(say).install(POSTGRESQL)


def ensure_faketime(say: Say) -> None:
    """Install libfaketime if it is missing (on Linux): tests step a program's clock by it.

    `say` gets a line when something is done.

    Raises:
        ConfigurationError: it is missing and cannot be installed; the text lists the choices.
    """
    if programs.faketime() is None and platform.system() == "Linux":
        Installer(say).install(FAKETIME)


def ensure_chromium(say: Say) -> None:
    """Install Chromium if it is missing: tests look at our pages with it.

    `say` gets a line when something is done.

    Raises:
        ConfigurationError: it is missing and cannot be installed; the text lists the choices.
    """
    if programs.chromium() is None:
        Installer(say).install(CHROMIUM)


class Installer:
    """One machine's package manager, and the right to use it."""

    def __init__(
        self,
        say: Say,
        run: Run = run,
        which: Callable[[str], str | None] = shutil.which,
        root: bool | None = None,
        policy: Path = _POLICY,
    ) -> None:
        self._say = say
        self._run = run
        self._which = which
        self._root = os.geteuid() == 0 if root is None else root
        self._policy = policy

    def install(self, package: Package) -> None:
        """Install a package, without starting a service of it.

        Raises:
            ConfigurationError: nothing can install it here, or the package manager failed.
        """
        if self._which("apt-get") and (self._root or self._which("sudo")):
            self._with_apt(package)
        elif self._which("brew"):
            self._with_brew(package)
        else:
            raise ConfigurationError(f"{package.name} is not installed here: {self._choices(package)}.")

    def _with_apt(self, package: Package) -> None:
        how = "apt-get" if self._root else "sudo apt-get, which may ask for your password"
        self._say(f"{package.name} is not installed: installing {package.apt} by {how}; this takes a minute or two.")
        ours = self._forbid_services()
        try:
            self._apt_install(package)
        finally:
            if ours:
                self._as_root("rm", "-f", str(self._policy))
        if ours and self._which("systemctl") and package.is_server:
            # Else it would start at the next boot and take the ports of the node that runs in our folder.
            self._as_root("systemctl", "disable", "--quiet", package.apt)

    def _apt_install(self, package: Package) -> None:
        """Ask for the lists only when the package is not found, or no longer where the old lists say."""
        install = ("apt-get", "install", "-y", "--no-install-recommends", "-o", _APT_LOCK, package.apt)
        if self._as_root(*install)[0] == 0:
            return
        self._as_root("apt-get", "update", "-o", _APT_LOCK)
        code, said = self._as_root(*install)
        if code != 0:
            raise ConfigurationError(f"apt-get failed: {_last_line(said)} Or {self._choices(package)}.")

    def _with_brew(self, package: Package) -> None:
        self._say(f"{package.name} is not installed: installing {package.brew} by brew; this takes some minutes.")
        code, said = self._run(["brew", "install", "--quiet", package.brew])
        if code != 0:
            raise ConfigurationError(f"brew failed: {_last_line(said)} Or {self._choices(package)}.")

    def _forbid_services(self) -> bool:
        """Keep packages from starting their services, unless the machine has a policy of its own already."""
        if self._policy.exists():
            return False
        with tempfile.NamedTemporaryFile("w", suffix=".policy-rc.d") as draft:
            draft.write(_FORBID)
            draft.flush()
            return self._as_root("install", "-m", "755", draft.name, str(self._policy))[0] == 0

    def _as_root(self, *command: str) -> tuple[int, str]:
        # sudo clears the environment, so `env` sets it behind it.
        prefix = [] if self._root else ["sudo"]
        return self._run([*prefix, "env", "DEBIAN_FRONTEND=noninteractive", *command])

    def _choices(self, package: Package) -> str:
        if self._which("apt-get"):
            return f"run `apt-get install {package.apt}` as root, or {package.instead}"
        return f"install {package.name} with this system's package manager, or {package.instead}"


def _last_line(said: str) -> str:
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith(("E:", "Error:"))]
    text = (errors or lines or ["it said nothing"])[-1]
    return text if text.endswith(".") else f"{text}."
