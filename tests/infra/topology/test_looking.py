"""`plan` and `drift` on a real broker: what it has is compared with what the code and the database want."""

import json

import pytest

from infra.errors import BrokerUnavailable, ConfigurationError
from infra.rabbitmq.management import Management
from tests.infra.topology.conftest import Run, Stage


def test_what_was_just_declared_needs_nothing(stage: Stage, run: Run) -> None:
    stage.declare()
    for verb in ("plan", "drift"):
        code, output, errors = run(verb)
        assert (0, "The broker is as it should be.", "") == (code, output.splitlines()[-1], errors)
        assert ["note", "note"] == [line.split()[0] for line in output.splitlines()[:-1]]  # no workers run


def test_on_an_empty_broker_everything_is_missing(stage: Stage, run: Run) -> None:
    code, output, _ = run("plan", "--json")
    kinds = [item["kind"] for item in json.loads(output)["items"]]
    assert (2, 7, 8) == (code, kinds.count("exchange"), kinds.count("queue"))


def test_plan_goes_by_the_code_and_drift_by_the_database(stage: Stage, run: Run) -> None:
    stage.declare()
    stage.subscriptions[:] = [each for each in stage.subscriptions if each.consumer == "sms"]
    stage.bind("sms", "user.left")
    code, output, _ = run("plan")
    assert (2, True, True) == (code, "user.left, which it should not be" in output, "no module here" in output)
    code, output, _ = run("drift")
    assert (2, True, False) == (code, "user.left, which it should not be" in output, "no module here" in output)


def test_a_queue_of_an_older_version_shows_what_differs(stage: Stage, run: Run) -> None:
    stage.make_queue("sms", **{"x-delivery-limit": 5, "x-description": "Old"})
    stage.declare()
    code, output, _ = run("drift")
    text = "queue sms: x-delivery-limit is 5, wanted 20; x-description is 'Old', wanted 'Send a text message'"
    assert (2, True) == (code, text in output)


def test_who_cannot_be_asked_says_so_in_one_line_without_a_password(
    stage: Stage, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TIDINGS_MANAGEMENT_URL", "http://me:geheim@127.0.0.1:1")
    code, output, errors = run("drift")
    assert (1, "", 1) == (code, output, len(errors.splitlines()))
    assert "management API does not answer" in errors
    monkeypatch.setenv("TIDINGS_MANAGEMENT_URL", stage.api.node.management.replace("operator:", "operator:geheim"))
    code, output, errors = run("drift")
    assert (1, "", True, False) == (code, output, "refuses the login" in errors, "geheim" in errors)


def test_of_several_hosts_the_first_that_answers_is_asked(stage: Stage) -> None:
    url = stage.api.node.management
    stage.declare()
    assert "sms" in Management(url.replace("@", "@127.0.0.1:1,"), stage.vhost).queues()
    with pytest.raises(BrokerUnavailable, match="does not answer"):
        Management("http://127.0.0.1:1", stage.vhost).queues()
    with pytest.raises(ConfigurationError, match="no such virtual host"):
        Management(url, stage.vhost + "-not").queues()
