"""The shell script `./tidings`: what it makes, whom it hands over to, and what it says when it cannot."""

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
#: All that the script needs from the system, so that no uv and no other Python is found by chance.
TOOLS = ("basename", "cat", "cmp", "cp", "dirname", "env", "mkdir", "readlink", "rm", "sh", "ln", "sleep")
RUNTIME, DEVELOPMENT = "requirements.lock", "requirements-dev.lock"
#: Stands for the interpreter in .venv: tells how it was called.
FAKE_PROGRAM = '#!/bin/sh\necho "$PYTHONPATH|$TIDINGS_STATE_DIR|$*"\n'
#: Stands for uv: notes each call, and makes the one file that the script looks for.
FAKE_UV = """#!/bin/sh
echo "$*" >>{calls}
[ "$1" = venv ] || exit 0
for folder; do :; done
sleep 0.2
mkdir -p "$folder/bin"
cp {program} "$folder/bin/python"
"""


@dataclass(frozen=True)
class Machine:
    """A folder with the project's script and locks, and a PATH of its own."""

    home: Path
    bin: Path
    calls: Path

    def install(self, name: str, script: str) -> None:
        """Put a program on the PATH."""
        (self.bin / name).unlink(missing_ok=True)
        (self.bin / name).write_text(script)
        (self.bin / name).chmod(0o755)

    def start(self, *arguments: str, script: str = "tidings", folder: str = "/") -> "subprocess.Popen[str]":
        """Start the script."""
        return subprocess.Popen(
            [self.home / script, *arguments], cwd=folder, env={"PATH": str(self.bin)}, text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    def run(self, *arguments: str, script: str = "tidings") -> tuple[int, str, str]:
        """Exit code, output and errors of the script."""
        process = self.start(*arguments, script=script)
        output, errors = process.communicate(timeout=30)
        return process.returncode, output.strip(), errors.strip()

    def called(self) -> list[str]:
        """The calls of uv so far, by their first word."""
        return [line.split()[0] for line in self.calls.read_text().splitlines()] if self.calls.exists() else []


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    made = Machine(tmp_path / "a project", tmp_path / "bin", tmp_path / "calls")
    made.home.mkdir()
    made.bin.mkdir()
    for name in ("tidings", RUNTIME, DEVELOPMENT):
        shutil.copy(ROOT / name, made.home / name)
    for tool in TOOLS:
        (made.bin / tool).symlink_to(str(shutil.which(tool)))
    program = tmp_path / "program"
    program.write_text(FAKE_PROGRAM)
    program.chmod(0o755)
    made.install("uv", FAKE_UV.format(calls=made.calls, program=program))
    made.install("python3", f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    return made


@pytest.mark.parametrize("arguments", [(), ("help",), ("--help",)])
def test_alone_it_prints_a_short_usage_and_makes_nothing(machine: Machine, arguments: Sequence[str]) -> None:
    code, output, errors = machine.run(*arguments)
    assert (code, output.splitlines()[0], errors) == (0, "Usage: ./tidings COMMAND [ARGUMENT...]", "")
    assert not (machine.home / ".venv").exists()


def test_an_unknown_word_is_one_line_and_code_2(machine: Machine) -> None:
    assert machine.run("upp") == (2, "", "tidings: unknown command 'upp': ./tidings help lists them.")
    assert not (machine.home / ".venv").exists()


@pytest.mark.parametrize(
    ("typed", "handed_over"),
    [
        (["up", "--detach"], "-m infra up --detach"),
        (["status", "--json"], "-m infra status --json"),
        (["migrate"], "-m infra migrate"),
        (["test", "tests/a b.py"], "-m infra test tests/a b.py"),
        (["consumers"], "-m consumers"),
        (["consumers", "declare"], "-m consumers declare"),
        (["gateway"], "-m gateway"),
        (["scheduler"], "-m scheduler"),
        (["schedules", "list"], "-m scheduler list"),
        (["schedules"], "-m scheduler --help"),
        (["dead", "list", "--json"], "-m infra.recovery dead list --json"),
        (["dead"], "-m infra.recovery dead --help"),
        (["operations", "show", "1"], "-m infra.recovery operations show 1"),
        (["operations"], "-m infra.recovery operations --help"),
        (["clean", "--dry-run"], "-m infra.cleaning --dry-run"),
        (["audit"], "-m infra.recovery audit --help"),
        (["audit", "list"], "-m infra.recovery audit list"),
        (["events"], "-m infra.announcing --help"),
        (["events", "list", "--json"], "-m infra.announcing list --json"),
    ],
)
def test_each_word_is_handed_to_its_package(machine: Machine, typed: list[str], handed_over: str) -> None:
    code, output, _ = machine.run(*typed)
    assert (code, output) == (0, f"{machine.home}|{machine.home}/.tidings|{handed_over}")


def test_it_works_through_a_symbolic_link(machine: Machine) -> None:
    (machine.home / "link").symlink_to("tidings")
    (machine.home.parent / "far").symlink_to(machine.home / "link")
    _, output, _ = machine.run("up", script="../far")
    assert output.startswith(f"{machine.home}|{machine.home}/.tidings|")


def test_the_second_start_neither_installs_nor_starts_python(machine: Machine) -> None:
    machine.run("up")
    machine.install("python3", "#!/bin/sh\necho started >&2\nexit 1\n")
    code, _, errors = machine.run("up")
    assert (code, errors) == (0, "")
    assert machine.called().count("pip") == 1


def test_only_what_developers_run_installs_the_development_lock(machine: Machine) -> None:
    machine.run("up")
    assert DEVELOPMENT not in machine.calls.read_text()
    machine.run("lint")
    assert f"--require-hashes -r {machine.home}/{RUNTIME} -r {machine.home}/{DEVELOPMENT}" in machine.calls.read_text()


def test_a_changed_lock_is_installed_into_the_same_venv(machine: Machine) -> None:
    machine.run("up")
    (machine.home / RUNTIME).write_text("# changed\n")
    machine.run("up")
    assert (machine.called().count("venv"), machine.called().count("pip")) == (1, 2)


@pytest.mark.parametrize("damage", ["interrupted", "moved", "other python"])
def test_a_venv_that_is_half_made_or_was_made_elsewhere_is_made_anew(machine: Machine, damage: str) -> None:
    machine.run("up")
    venv = machine.home / ".venv"
    if damage == "interrupted":
        (venv / "origin").unlink()
    elif damage == "moved":
        (venv / "origin").write_text((venv / "origin").read_text().replace(str(machine.home), "/elsewhere"))
    else:
        (venv / "bin" / "python").unlink()
    (venv / "rest").touch()
    assert machine.run("up")[0] == 0
    assert not (venv / "rest").exists()


def test_an_installation_that_fails_ends_in_a_line_and_is_tried_again(machine: Machine) -> None:
    working = (machine.bin / "uv").read_text()
    machine.install("uv", working.replace("#!/bin/sh\n", '#!/bin/sh\n[ "$1" != pip ] || exit 1\n'))
    code, output, errors = machine.run("up")
    assert (code, output) == (1, "")
    assert errors.endswith("The libraries could not be installed: see above, check the network, and try again.")
    machine.install("uv", working)
    assert machine.run("up")[0] == 0


def test_starts_at_the_same_time_make_one_venv(machine: Machine) -> None:
    starts = [machine.start("up") for _ in range(3)]
    outputs = [start.communicate(timeout=30)[0] for start in starts]
    assert [start.returncode for start in starts] == [0, 0, 0]
    assert all(output.endswith("-m infra up\n") for output in outputs)
    assert (machine.called().count("venv"), machine.called().count("pip")) == (1, 1)


def test_a_broken_shim_is_passed_over(machine: Machine) -> None:
    machine.install("python3.12", (machine.bin / "python3").read_text())
    machine.install("python3", "#!/bin/sh\necho 'pyenv: python3: command not found' >&2\nexit 127\n")
    code, _, errors = machine.run("up")
    assert (code, "pyenv" in errors) == (0, False)


def test_without_python_it_says_what_to_install(machine: Machine) -> None:
    machine.install("python3", "#!/bin/sh\nexit 1\n")
    code, output, errors = machine.run("up")
    assert (code, output) == (1, "")
    assert errors == "tidings: No Python 3.11 or newer was found: install python3 (3.11 or newer) and try again."


def test_settings_of_the_caller_win(machine: Machine) -> None:
    environment = {"PATH": str(machine.bin), "TIDINGS_STATE_DIR": "/var/lib/tidings", "PYTHONPATH": "/mine"}
    done = subprocess.run([machine.home / "tidings", "up"], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == f"{machine.home}:/mine|/var/lib/tidings|-m infra up\n"


class TestWithoutUvAndEnsurepip:
    """A Debian whose Python lacks ensurepip, until its package is installed."""

    PACKAGE = f"python3.{sys.version_info.minor}-venv"
    APT = '#!/bin/sh\n[ "$1" = update ] || : >{marker}\n'
    PYTHON = """#!/bin/sh
case "$*" in
  *"import ensurepip"*) [ -e {marker} ] ;;
  "-m venv"*) mkdir -p "$3/bin"; cp {program} "$3/bin/python" ;;
  *) exec {python} "$@" ;;
esac
"""

    @pytest.fixture
    def debian(self, machine: Machine) -> Machine:
        (machine.bin / "uv").unlink()
        marker, program = machine.home.parent / "installed", machine.home.parent / "program"
        python = self.PYTHON.format(marker=marker, program=program, python=sys.executable)
        # The script asks for the interpreter itself, which here has to be this stand-in.
        answer = f"*_base_executable*) echo {machine.bin}/python3 ;;"
        machine.install("python3", python.replace("in\n", f"in\n  {answer}\n", 1))
        machine.install("apt-get", self.APT.format(marker=marker))
        return machine

    def test_root_installs_the_package(self, debian: Machine) -> None:
        debian.install("id", "#!/bin/sh\necho 0\n")
        code, output, errors = debian.run("up")
        line = f"Python's venv is missing; running: apt-get install --yes --no-install-recommends {self.PACKAGE}"
        assert (code, line in errors, output.endswith("-m infra up")) == (0, True, True)

    def test_others_use_sudo_and_are_told_so(self, debian: Machine) -> None:
        debian.install("id", "#!/bin/sh\necho 1000\n")
        debian.install("sudo", '#!/bin/sh\nexec "$@"\n')
        code, _, errors = debian.run("up")
        assert (code, "running: sudo apt-get install" in errors) == (0, True)

    def test_without_sudo_the_exact_line_is_named(self, debian: Machine) -> None:
        debian.install("id", "#!/bin/sh\necho 1000\n")
        code, _, errors = debian.run("up")
        line = f"Run as root: apt-get install --yes --no-install-recommends {self.PACKAGE}"
        assert (code, errors) == (1, f"tidings: Python's venv is missing. {line}")


def test_the_locks_hold_hashes_and_no_host() -> None:
    for name in (RUNTIME, DEVELOPMENT):
        text = (ROOT / name).read_text()
        assert "--hash=sha256:" in text
        assert not [word for word in ("://", "--index-url", "--extra-index-url", "--find-links") if word in text]


def test_the_script_is_executable() -> None:
    assert os.access(ROOT / "tidings", os.X_OK)
    assert os.access(ROOT / ".ci" / "run", os.X_OK)
