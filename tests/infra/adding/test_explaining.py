"""Who gets an event and what becomes of it there, in words that are true of the delivery's own rules."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import BaseModel

import consumers
from consumers import __main__ as program
from events.users import UserRegistered
from infra import commands, subscriptions
from infra.adding import explaining
from infra.adding.roads import road, tries
from infra.jobs.kinds import Job, job
from infra.settings import Settings
from infra.subscriptions import Batch, Retry, Subscription

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(autouse=True)
def ours_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only what the modules of `consumers` subscribe: other tests of this process subscribe, too."""
    consumers.discover(Settings())
    ours = {
        name: each for name, each in subscriptions._recorded.items() if each.handler.__module__.startswith("consumers.")
    }
    monkeypatch.setattr(subscriptions, "_recorded", ours)


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a command line; gives its exit code, its output, and its errors."""

    def type_in(*words: str) -> tuple[int, str, str]:
        code = commands.code(program.app, "./tidings consumers", ["explain", *words])
        output, errors = capsys.readouterr()
        return code, output, errors

    return type_in


def test_it_tells_who_announces_it_who_gets_it_and_what_becomes_of_it_there(run: Run) -> None:
    code, output, errors = run("user.registered")
    assert (0, "") == (code, errors)
    first, announced, counted, *roads = output.splitlines()
    assert "user.registered, version 1 (events.users): Somebody has an account now." == first
    assert "gateway/users/service.py:" in announced
    assert "2 consumers get it." == counted
    assert "welcome-email (consumers.welcome_email): Intend the mail; it is sent after the commit." in roads
    assert any("./tidings dead list --consumer welcome-email" in line for line in roads)


def test_for_programs_it_is_one_document(run: Run) -> None:
    told = json.loads(run("heartbeat.ticked", "--json")[1])
    assert ["activity-log", "heartbeat"] == [taker["consumer"] for taker in told["takers"]]
    assert ("heartbeat.ticked", 1) == (told["type"], told["version"])


def test_an_unknown_type_is_one_line_with_the_nearest_and_code_2(run: Run) -> None:
    code, output, errors = run("user.regstered")
    assert (2, "", 1) == (code, output, len(errors.splitlines()))
    assert "did you mean user.registered" in errors


def test_only_calls_of_the_class_count_as_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    consumers.discover(Settings())
    (tmp_path / "gateway").mkdir()
    (tmp_path / "gateway" / "made.py").write_text("# UserRegistered()\nx = UserRegistered\ny = UserRegistered()\n")
    (tmp_path / "gateway" / "broken.py").write_text("UserRegistered(")
    monkeypatch.setattr(explaining, "ROOT", tmp_path)
    assert ["gateway/made.py:3"] == explaining.explain(UserRegistered, "user.registered").places


def test_the_road_of_trouble_names_every_rule() -> None:
    retry = Retry(
        Retry.on(ConnectionError, TimeoutError, delays=(5, 5, 30)),
        Retry.never(ValueError, when=bool),
        delays=(30,),
        max_age=7200,
    )
    subscription = Subscription(
        "sms", ("user.registered",), lambda event, context: None, retry=retry, timeout=90, concurrency=2,
        ordered=True, where=bool, pause_after=3,
    )  # fmt: skip
    assert [
        "Its guard (where=) is asked first; an event that it says no to is settled as filtered.",
        "It is handled: up to 2 at once in each worker process; after 90 s a handler is interrupted.",
        "Events of one subject come in order, so a later one waits until this one has ended; other subjects flow.",
        "ConnectionError, TimeoutError: again after 5 s (2 times), 30 s.",
        "ValueError if its condition says so: not tried again.",
        "Refused for good (EffectRefused, SMTP 5xx): not tried again.",
        "A mistake in the code or the data (TypeError, ValueError, LookupError, AttributeError …): again after 30 s.",
        "Any other failure: again after 30 s.",
        "RetryAfter(seconds): again when it says, within an hour, 2 tries in all.",
        "An event that is older than 2 h is not tried again, whatever failed.",
        "After 3 failures in a row it pauses itself, and tries one message each 30 s until that goes well.",
    ] == road(subscription)[:-1]


def test_what_is_never_tried_again_says_so() -> None:
    subscription = Subscription(
        "log", ("#",), lambda batch: None, retry=Retry(delays=()), batch=Batch(500, 0.2), pause_after=None
    )
    found = road(subscription)
    assert (
        "It is handled: up to 500 in one transaction, once the first has waited 0.2 s; when one fails they are "
        in (found[0])
    )
    assert "Any other failure: not tried again." in found
    assert not [step for step in found if "RetryAfter" in step or "pauses itself" in step]


@pytest.mark.parametrize(
    ("retry", "words"),
    [
        (Retry.DEFAULT, "6 in 73 min"),
        (Retry(delays=()), "1"),
        (Retry(delays=(5, 30)), "3 in 35 s"),
        (Retry(Retry.never(ValueError), delays=(600,) * 20), "21 in 3 h and 1 of its own"),
    ],
)
def test_tries_are_told_in_a_few_words(retry: Retry, words: str) -> None:
    assert words == tries(retry)


def test_of_the_requests_for_one_kind_of_jobs_its_taker_is_told(run: Run) -> None:
    class Wanted(BaseModel): ...

    @job("counting", parameters=Wanted)
    def count(parameters: Wanted, job: Job) -> None: ...

    told = json.loads(run("job.requested.counting", "--json")[1])
    roads = {taker["consumer"]: taker["road"] for taker in told["takers"]}
    assert ("job.requested.counting", {"activity-log", "counting"}) == (told["type"], set(roads))  # that takes all
    assert "Its job is done: up to 2 at once in each process for jobs; after 1 h of work" in roads["counting"][1]
