"""`status`, `down` and the second `up`: they tell what is, and reach a supervisor in whatever state it is."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.errors import AlreadyUp
from infra.local import control, record, table
from infra.local.places import Places
from infra.local.record import Process, Record
from infra.local.up import sole
from tests.programs import is_alive

ROOT = Path(__file__).parents[3]
RECORD = Record(
    http="http://127.0.0.1:8000",
    amqp="amqp://tidings:secret@127.0.0.1:5672/tidings",
    management="http://operator:geheim@127.0.0.1:15672",
    smtp="smtp://127.0.0.1:2525",
    mailbox="/state/mailbox",
    database="sqlite:////state/tidings.db",
    operator_token_file="/state/operator-token",
    processes=[Process(name="gateway", pid=1, state="ready"), Process(name="mail", state="restarting", restarts=2)],
)
#: Stands for `up`: holds the lock, and ends on TERM.
HOLD = """
import sys, time
from pathlib import Path
from infra.local.places import Places
from infra.local.up import sole

with sole(Places(Path(sys.argv[1]))):
    print("held", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def places(tmp_path: Path) -> Places:
    return Places(tmp_path / "state").make()


@pytest.fixture
def supervisor(places: Places) -> Iterator["subprocess.Popen[str]"]:
    """A process that holds the state folder as `up` does."""
    command = [sys.executable, "-c", HOLD, str(places.folder)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        record.write(places.record, RECORD)
        yield process
        process.kill()


def infra(places: Places, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run `python -m infra` on this state folder."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TIDINGS_STATE_DIR": str(places.folder)}
    command = [sys.executable, "-m", "infra", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_nothing_runs_where_there_is_no_supervisor(places: Places) -> None:
    assert control.running(places) is None


def test_a_record_whose_supervisor_is_dead_does_not_count(places: Places, supervisor: "subprocess.Popen[str]") -> None:
    supervisor.kill()
    supervisor.wait()
    assert control.running(places) is None


def test_what_runs_is_what_the_record_says(places: Places, supervisor: "subprocess.Popen[str]") -> None:
    assert control.running(places) == RECORD


def test_a_program_that_was_ready_and_no_longer_answers_is_starting(
    places: Places, supervisor: "subprocess.Popen[str]"
) -> None:
    deaf = Process(name="gateway", pid=1, state="ready", probe="http://127.0.0.1:1/readyz")
    record.write(places.record, RECORD.model_copy(update={"processes": [deaf]}))
    now = control.running(places)
    assert now is not None
    assert (now.processes[0].state, now.is_ready()) == ("starting", False)


def test_a_second_up_is_refused_while_the_first_lives(places: Places, supervisor: "subprocess.Popen[str]") -> None:
    with pytest.raises(AlreadyUp), sole(places):
        pass
    supervisor.kill()
    supervisor.wait()
    with sole(places):
        pass


@pytest.mark.parametrize("state", ["running", "frozen"])
def test_down_stops_a_supervisor_and_names_what_it_ran(
    places: Places, supervisor: "subprocess.Popen[str]", state: str
) -> None:
    if state == "frozen":
        os.kill(supervisor.pid, signal.SIGSTOP)
    assert control.down(places) == ["gateway", "mail"]
    assert not is_alive(supervisor.pid)


def test_down_where_nothing_runs_stops_nothing(places: Places) -> None:
    assert control.down(places) == []


def test_the_record_is_readable_by_its_owner_only(places: Places) -> None:
    record.write(places.record, RECORD)
    assert places.record.stat().st_mode & 0o777 == 0o600
    assert places.folder.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("text", ["", "{", '{"http": 1}', "[]"])
def test_a_damaged_record_counts_as_none(places: Places, text: str) -> None:
    places.record.write_text(text)
    assert record.read(places.record) is None


def test_the_public_record_has_the_keys_that_are_promised() -> None:
    assert RECORD.public() == {
        "http": "http://127.0.0.1:8000",
        "amqp": "amqp://tidings:secret@127.0.0.1:5672/tidings",
        "management": "http://operator:geheim@127.0.0.1:15672",
        "smtp": "smtp://127.0.0.1:2525",
        "mailbox": "/state/mailbox",
        "database": "sqlite:////state/tidings.db",
        "operator_token_file": "/state/operator-token",
        "processes": [
            {"name": "gateway", "pid": 1, "state": "ready", "restarts": 0},
            {"name": "mail", "pid": None, "state": "restarting", "restarts": 2},
        ],
    }


def test_the_closing_table_names_everything_that_a_newcomer_needs() -> None:
    text = table.opening(RECORD, "Ctrl-C stops it.")
    for part in (
        "http://127.0.0.1:8000/docs",
        "8000/catalogue",
        "user operator, password geheim",
        "/state/mailbox",
        "operator-token",
    ):
        assert part in text
    assert "curl -X POST http://127.0.0.1:8000/users -H 'content-type: application/json' -d '{\"name\":" in text


def test_the_status_table_has_a_line_for_each_program() -> None:
    lines = table.status(RECORD).splitlines()
    assert lines[1].split() == ["gateway", "ready", "1", "0"]
    assert lines[2].split() == ["mail", "restarting", "-", "2"]


class TestCommands:
    def test_status_where_nothing_runs_exits_with_3(self, places: Places) -> None:
        done = infra(places, "status", "--json")
        assert (done.returncode, json.loads(done.stdout), done.stderr) == (3, {"processes": []}, "")

    def test_down_where_nothing_runs_is_one_line_and_no_error(self, places: Places) -> None:
        done = infra(places, "down")
        assert (done.returncode, done.stdout, done.stderr) == (0, "Nothing of Tidings runs here.\n", "")

    def test_a_second_up_of_something_that_is_not_ready_says_so(
        self, places: Places, supervisor: "subprocess.Popen[str]"
    ) -> None:
        done = infra(places, "up")
        assert (done.returncode, done.stdout) == (1, "")
        assert "Not all of it is ready." in done.stderr

    def test_a_wrong_setting_is_one_line(self, places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("TIDINGS_HTTP_PORT", "many")
        done = infra(places, "status")
        assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (1, "", 1)
        assert done.stderr.startswith("tidings: TIDINGS_HTTP_PORT: ")

    def test_a_state_folder_that_cannot_be_made_is_one_line(self, places: Places) -> None:
        done = infra(Places(Path("/proc/nothing")), "up")
        assert (done.returncode, done.stdout) == (1, "")
        assert (
            done.stderr == "tidings: /proc/nothing cannot be used (No such file or directory): set TIDINGS_STATE_DIR.\n"
        )

    @pytest.mark.parametrize("url", ["nonsense", "http://broker", "amqp://", "amqp://host:many"])
    def test_a_url_that_is_none_is_one_line_and_not_repeated(
        self, places: Places, url: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("TIDINGS_RABBITMQ_URL", url)
        done = infra(places, "up")
        line = "tidings: TIDINGS_RABBITMQ_URL: it must look like amqp://user:password@host:5672/vhost.\n"
        assert (done.returncode, done.stderr) == (1, line)

    def test_an_unknown_option_is_one_line_and_code_2(self, places: Places) -> None:
        done = infra(places, "up", "--fast")
        assert (done.returncode, done.stderr) == (2, "tidings: No such option: --fast See ./tidings --help.\n")


def test_down_stops_a_supervisor_that_has_no_record_yet(places: Places, supervisor: "subprocess.Popen[str]") -> None:
    places.record.unlink()
    assert control.down(places) == ["up"]
    assert not is_alive(supervisor.pid)
