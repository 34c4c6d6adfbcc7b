"""The pytest plugin as those meet it who write consumers: in a project of their own."""

import secrets
from pathlib import Path

import pytest

from infra.local.node import Node
from tests.brokers import BrokerApi

pytest_plugins = ["pytester"]

HEAD = """
from uuid import UUID
from events.users import UserRegistered
from infra.subscriptions import subscribe

ADA = UserRegistered(user_id=UUID(int=1), name="Ada", email="ada@example.com")

def deliver(kit, handler):
    kit.subscribe("sms", to=UserRegistered)(handler)
    return kit.deliver(ADA, to="sms")

def fails(event, context):
    raise KeyError("number")

def works(event, context):
    pass
"""
FAILING = """
def test_a_state(kit):
    told = deliver(kit, fails)
    assert "handled" == told.state

def test_something_else(kit):
    deliver(kit, fails)
    assert 1 == len(kit.mails)
"""
WELL = """
def test_well(kit):
    told = deliver(kit, works)
    event_id = kit.publish(ADA)
    kit.settle()
    assert "handled" == told.state == kit.state_of(event_id, "sms")
"""


@pytest.fixture(autouse=True)
def _elsewhere(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder of its own, where Tidings is installed."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[3]))
    pytester.makeconftest('pytest_plugins = ["infra.testing.plugin"]')


def run(pytester: pytest.Pytester, tests: str, *options: str) -> pytest.RunResult:
    pytester.makepyfile(HEAD + tests)
    return pytester.runpytest_subprocess("-p", "no:cacheprovider", "--strict-markers", *options, timeout=100)


def test_a_test_that_fails_shows_the_error_and_what_happened(pytester: pytest.Pytester) -> None:
    result = run(pytester, FAILING)
    result.assert_outcomes(failed=2)
    result.stdout.fnmatch_lines(
        [
            "E       assert 'handled' == 'retrying'",
            "E         <sms: user.registered, try 1: retrying in 5 s: KeyError: 'number'>",
            'E             raise KeyError("number")',
            "E         KeyError: 'number'",
            "*What happened in the kit*",
            "*test_something_else*",
            "*What happened in the kit*",
            "<sms: user.registered, try 1: retrying in 5 s: *",
        ]
    )


def test_an_option_has_all_tests_run_over_the_broker_that_the_environment_names(
    pytester: pytest.Pytester, newer_rabbitmq: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a virtual host of its own, which is gone afterwards."""
    broker_api = BrokerApi(newer_rabbitmq)
    url = broker_api.create_vhost(f"kit-{secrets.token_hex(4)}")
    before = broker_api.call("GET", "vhosts")
    monkeypatch.setenv("TIDINGS_RABBITMQ_URL", url)
    monkeypatch.setenv("TIDINGS_MANAGEMENT_URL", broker_api.node.management)
    result = run(pytester, WELL, "--broker")
    result.assert_outcomes(passed=1)
    result.stdout.no_fnmatch_line("*What happened in the kit*")
    assert [each["name"] for each in before] == [each["name"] for each in broker_api.call("GET", "vhosts")]
    broker_api.delete_vhost(url)


def test_a_broker_without_its_management_api_is_one_clear_line(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TIDINGS_RABBITMQ_URL", "amqp://guest:guest@broker.invalid/tests")
    marked = f"import pytest\npytestmark = pytest.mark.broker\n{WELL}"
    result = run(pytester, marked)
    result.stdout.fnmatch_lines(["E*A test needs a virtual host of its own: set TIDINGS_MANAGEMENT_URL, too."])
