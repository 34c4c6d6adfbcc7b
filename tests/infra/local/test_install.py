"""Installing servers: by the machine's own package manager, without starting services, with a way out where none is."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from infra.errors import ConfigurationError
from infra.local.install import CHROMIUM, FAKETIME, POSTGRESQL, RABBITMQ, Installer, Package

APT = "apt-get install -y --no-install-recommends -o DPkg::Lock::Timeout=300 rabbitmq-server"


class Machine:
    """A machine with these tools, on which commands that hold `failing` fail, and all others succeed."""

    def __init__(
        self, policy: Path, *tools: str, root: bool = False, failing: str = " nothing ", times: int = 99
    ) -> None:
        self.commands: list[str] = []
        self.said: list[str] = []
        #: What the policy file held while packages were installed.
        self.policies: list[str | None] = []
        self._policy, self._tools, self._root = policy, tools, root
        self._failing, self._times = failing, times

    def install(self, package: Package) -> None:
        Installer(self.said.append, self._run, self._which(), self._root, self._policy).install(package)

    def _which(self) -> Callable[[str], str | None]:
        return lambda name: f"/usr/bin/{name}" if name in self._tools else None

    def _run(self, command: Sequence[str]) -> tuple[int, str]:
        words = [word for word in command if word not in {"sudo", "env", "DEBIAN_FRONTEND=noninteractive"}]
        self.commands.append(" ".join(command))
        if words[0] == "install":
            Path(words[-1]).write_text(Path(words[-2]).read_text())
        elif words[0] == "rm":
            Path(words[-1]).unlink()
        elif words[:2] == ["apt-get", "install"]:
            self.policies.append(self._policy.read_text() if self._policy.exists() else None)
        if self._failing in " ".join(command) and self._times > 0:
            self._times -= 1
            return 100, "Reading package lists...\nE: Unable to locate package rabbitmq-server\n\n"
        return 0, ""


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    """Where this machine's policy for services would be."""
    return tmp_path / "policy-rc.d"


def test_root_installs_by_apt_get_with_services_forbidden_meanwhile(policy: Path) -> None:
    machine = Machine(policy, "apt-get", root=True)
    machine.install(RABBITMQ)
    assert [command for command in machine.commands if "apt-get" in command] == [
        f"env DEBIAN_FRONTEND=noninteractive {APT}"
    ]
    assert machine.policies == ["#!/bin/sh\nexit 101\n"]
    assert not policy.exists()


def test_others_install_by_sudo_after_it_was_said_in_one_line(policy: Path) -> None:
    machine = Machine(policy, "apt-get", "sudo")
    machine.install(RABBITMQ)
    assert all(command.startswith("sudo env DEBIAN_FRONTEND=noninteractive ") for command in machine.commands)
    assert len(machine.said) == 1
    assert "sudo" in machine.said[0]


def test_a_policy_that_the_machine_has_is_neither_replaced_nor_removed(policy: Path) -> None:
    policy.write_text("its own")
    machine = Machine(policy, "apt-get", root=True)
    machine.install(RABBITMQ)
    assert machine.policies == ["its own"]
    assert policy.read_text() == "its own"


def test_the_service_is_not_left_to_start_at_the_next_boot(policy: Path) -> None:
    machine = Machine(policy, "apt-get", "systemctl", root=True)
    machine.install(RABBITMQ)
    assert machine.commands[-1].endswith("systemctl disable --quiet rabbitmq-server")


def test_the_package_lists_are_asked_for_only_when_the_package_is_not_found(policy: Path) -> None:
    machine = Machine(policy, "apt-get", root=True, failing=APT, times=1)
    machine.install(RABBITMQ)
    asked = [command.split()[3] for command in machine.commands if "apt-get" in command]
    assert asked == ["install", "update", "install"]


def test_when_apt_get_fails_its_error_and_the_choices_are_one_line_and_the_policy_is_gone(policy: Path) -> None:
    machine = Machine(policy, "apt-get", root=True, failing=APT)
    with pytest.raises(ConfigurationError) as caught:
        machine.install(RABBITMQ)
    assert str(caught.value) == (
        "apt-get failed: E: Unable to locate package rabbitmq-server. Or run `apt-get install rabbitmq-server` as root,"
        " or set TIDINGS_RABBITMQ_URL=amqp://user:password@host/vhost."
    )
    assert not policy.exists()


@pytest.mark.parametrize(("package", "count"), [(RABBITMQ, 1), (FAKETIME, 0), (CHROMIUM, 0)])
def test_only_a_server_is_kept_from_starting_at_boot(policy: Path, package: Package, count: int) -> None:
    machine = Machine(policy, "apt-get", "systemctl", root=True)
    machine.install(package)
    assert count == sum("systemctl disable" in command for command in machine.commands)


def test_a_mac_installs_by_brew(policy: Path) -> None:
    machine = Machine(policy, "brew")
    machine.install(POSTGRESQL)
    assert machine.commands == ["brew install --quiet postgresql@15"]


def test_when_brew_fails_the_choices_are_named(policy: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"^brew failed: .* TIDINGS_RABBITMQ_URL"):
        Machine(policy, "brew", failing="brew").install(RABBITMQ)


@pytest.mark.parametrize("tools", [(), ("apt-get",), ("sudo",), ("dnf", "sudo")])
def test_where_nothing_can_be_installed_the_choices_are_named_and_nothing_is_run(
    policy: Path, tools: tuple[str, ...]
) -> None:
    machine = Machine(policy, *tools)
    with pytest.raises(ConfigurationError, match=r"^RabbitMQ is not installed here: .*TIDINGS_RABBITMQ_URL"):
        machine.install(RABBITMQ)
    assert machine.commands == []
