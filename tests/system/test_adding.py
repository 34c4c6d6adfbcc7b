"""Adding a consumer, or a kind of jobs, as a newcomer does: one command, one file, and `up --reload` does the rest."""

import json
import resource
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests import clones
from tests.installation import Installation
from tests.waiting import until

pytestmark = [pytest.mark.system, pytest.mark.timeout(300)]
#: Seconds; on a busy machine a program takes twenty to start.
PATIENCE = 100
#: What `up` says of a queue that is there, and of the program that takes from it.
DECLARED, AGAIN = "the queues are declared", "consumers is ready again"
HANDLER = '''"""Count."""

from events.users import UserRegistered
from infra.subscriptions import Context, subscribe


@subscribe("{name}", to=UserRegistered)
def handle(event: UserRegistered, context: Context) -> None:
    """Count them."""
'''


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return clones.clone(tmp_path_factory.mktemp("clone"))


@pytest.fixture(scope="module")
def installation(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """`up --reload` in a source tree of its own."""
    installation = Installation(tmp_path_factory.mktemp("adding"), root=root)
    try:
        installation.up("--reload")
        yield installation
    finally:
        installation.down()


def register(installation: Installation, name: str) -> str:
    """Somebody registers; gives the event's id."""
    status, answer = installation.ask("POST", "/users", {"name": name, "email": f"{name.lower()}@example.com"})
    assert 201 == status, answer
    return str(answer["event_id"])


def states(installation: Installation, event_id: str) -> dict[str, str]:
    """What became of an event at each consumer."""
    _, story = installation.ask("GET", f"/events/{event_id}")
    return {each["consumer"]: each["state"] for each in story["deliveries"]}


def bindings(installation: Installation, queue: str) -> list[str]:
    """Types that a queue is bound to; none if there is no such queue."""
    parts = urlsplit(json.loads((installation.state / "local.json").read_text())["management"])
    address = f"http://{parts.hostname}:{parts.port}"
    passwords = urllib.request.HTTPPasswordMgrWithDefaultRealm()
    passwords.add_password(None, address, str(parts.username), str(parts.password))
    opener = urllib.request.build_opener(urllib.request.HTTPBasicAuthHandler(passwords))
    with opener.open(f"{address}/api/bindings/tidings/e/events/q/{queue}", timeout=10) as answer:
        return [each["routing_key"] for each in json.load(answer)]


def said(installation: Installation) -> list[str]:
    """What `up` has said so far, without how long it took."""
    lines = (installation.state / "logs" / "up.log").read_text().splitlines()
    return [line.partition(" (")[0] for line in lines]


def notes(installation: Installation) -> dict[str, Any]:
    """What the probe of the consumers program says beside being ready."""
    record = json.loads((installation.state / "local.json").read_text())
    (probe,) = [each["probe"] for each in record["processes"] if each["name"] == "consumers"]
    try:
        with urllib.request.urlopen(probe, timeout=5) as answer:
            return dict(json.load(answer)["notes"])
    except OSError:
        return {}


@pytest.mark.alone
def test_from_the_command_to_the_first_handled_event_is_less_than_a_minute(
    installation: Installation, root: Path
) -> None:
    before, began = clones.files(root), time.monotonic()
    done = installation.command("consumers", "new", "sms", "--on", "user.registered")
    assert 0 == done.returncode, done.stderr
    until(lambda: bindings(installation, "sms"), seconds=60, what="the queue of sms, bound")
    event_id = register(installation, "Ada")
    until(lambda: states(installation, event_id).get("sms") == "handled", seconds=60, what="sms: handled")
    assert time.monotonic() - began < 60
    after = clones.files(root)
    assert {"consumers/sms.py", "tests/consumers/test_sms.py"} == set(after) - set(before)
    assert before == {name: after[name] for name in before}
    assert "taken" in (installation.state / "logs" / "consumers.log").read_text()


def test_a_kind_of_jobs_is_one_command_and_its_first_job_another(installation: Installation, root: Path) -> None:
    installation.await_ready()
    done = installation.command("consumers", "new", "counting", "--job")
    assert 0 == done.returncode, done.stderr
    until(lambda: bindings(installation, "counting"), seconds=60, what="the queue of the kind, bound")
    ran = installation.command("jobs", "run", "counting", "steps=3", "--wait", "--json")
    assert 0 == ran.returncode, ran.stderr
    job = json.loads(ran.stdout)
    assert ("succeeded", {"steps": 3}) == (job["state"], job["parameters"])
    assert '{"steps":3}' == installation.command("jobs", "result", job["id"]).stdout


def test_a_queue_is_bound_while_its_program_still_starts_anew(installation: Installation, root: Path) -> None:
    installation.await_ready()
    before = len(said(installation))
    (root / "consumers" / "quick.py").write_text(HANDLER.format(name="quick"))
    until(lambda: DECLARED in said(installation)[before:], seconds=PATIENCE, what="the declaration")
    assert ["user.registered"] == bindings(installation, "quick")
    until(lambda: AGAIN in said(installation)[before:], seconds=PATIENCE, what="the consumers program, ready again")
    assert ["consumers/quick.py changed: consumers start anew", DECLARED, AGAIN] == said(installation)[before:]
    event_id = register(installation, "Grace")
    until(lambda: states(installation, event_id).get("quick") == "handled", seconds=PATIENCE, what="quick: handled")


def test_declaring_a_new_consumer_keeps_a_processor_busy_for_less_than_five_seconds(installation: Installation) -> None:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert 0 == installation.command("consumers", "declare").returncode
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 5


def test_a_syntax_error_is_told_stops_nobody_and_is_mended_by_saving_again(
    installation: Installation, root: Path
) -> None:
    installation.await_ready()
    module = root / "consumers" / "wrong.py"
    module.write_text("def (")
    told = until(lambda: notes(installation).get("consumers.wrong"), seconds=PATIENCE, what="the note of the probe")
    assert "consumers/wrong.py:1: SyntaxError: invalid syntax" == told
    assert told in (installation.state / "logs" / "consumers.log").read_text()
    assert told in installation.command("consumers", "list").stderr
    event_id = register(installation, "Mary")
    until(lambda: states(installation, event_id).get("welcome-email") == "handled", seconds=PATIENCE, what="the mail")
    assert "wrong" not in states(installation, event_id)
    module.write_text(HANDLER.format(name="wrong"))
    until(lambda: bindings(installation, "wrong"), seconds=PATIENCE, what="the queue, bound")
    until(lambda: not notes(installation).get("consumers.wrong"), seconds=PATIENCE, what="no note")


def test_a_module_that_is_deleted_leaves_its_queue_and_what_it_had(installation: Installation, root: Path) -> None:
    module = root / "consumers" / "gone.py"
    module.write_text(HANDLER.format(name="gone"))
    until(lambda: bindings(installation, "gone"), seconds=PATIENCE, what="the queue, bound")
    installation.await_ready()
    before = installation.process("consumers")["pid"]
    module.unlink()
    until(lambda: installation.process("consumers")["pid"] != before, seconds=PATIENCE, what="another process")
    installation.await_ready()
    assert ["user.registered"] == bindings(installation, "gone")
    event_id = register(installation, "Emmy")
    until(lambda: states(installation, event_id).get("welcome-email") == "handled", seconds=PATIENCE, what="the mail")
    assert "pending" == states(installation, event_id)["gone"]
