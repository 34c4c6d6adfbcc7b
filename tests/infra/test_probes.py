"""The probes of a program that is no web server."""

import json
import socket
from collections.abc import Iterator
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

from infra import probes
from infra.errors import ConfigurationError, DatabaseUnavailable


@pytest.fixture
def problems() -> dict[str, str]:
    return {}


@pytest.fixture
def notes() -> dict[str, str]:
    return {}


@pytest.fixture
def url(problems: dict[str, str], notes: dict[str, str]) -> Iterator[str]:
    server = probes.serve(lambda: problems, port=0, notes=lambda: notes)
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def get(url: str) -> tuple[int, str]:
    try:
        with urlopen(url, timeout=5) as answer:
            return answer.status, answer.read().decode()
    except HTTPError as error:
        with error:
            return error.code, error.read().decode()


def test_a_live_program_says_so(url: str) -> None:
    assert (200, '{"status": "alive"}') == get(f"{url}/livez")


def test_readiness_names_each_problem(url: str, problems: dict[str, str]) -> None:
    assert 200 == get(f"{url}/readyz")[0]
    problems["sms"] = "not attached to its queue"
    status, body = get(f"{url}/readyz")
    assert (503, problems) == (status, json.loads(body)["problems"])


def test_what_is_no_problem_is_shown_and_the_program_is_ready(url: str, notes: dict[str, str]) -> None:
    notes["sms"] = "paused by an operator"
    status, body = get(f"{url}/readyz")
    assert (200, {"status": "ready", "problems": {}, "notes": notes}) == (status, json.loads(body))


def test_a_look_that_fails_is_an_answer_too() -> None:
    def fail() -> dict[str, str]:
        raise DatabaseUnavailable("The database is away.")

    server = probes.serve(fail, port=0)
    status, body = get(f"http://127.0.0.1:{server.server_port}/readyz")
    server.shutdown()
    server.server_close()
    assert (503, {"program": "The database is away."}) == (status, json.loads(body)["problems"])


def test_metrics_are_in_prometheus_form(url: str) -> None:
    status, body = get(f"{url}/metrics")
    assert 200 == status
    assert "# TYPE tidings_outbox_rows gauge" in body


def test_anything_else_is_not_found(url: str) -> None:
    assert 404 == get(f"{url}/")[0]


def test_a_port_that_is_taken_is_one_line_that_says_which_setting_it_is() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        for ask in (lambda: probes.serve(dict, port=port), lambda: probes.require_free(port)):
            with pytest.raises(ConfigurationError, match=rf"127\.0\.0\.1:{port} .*TIDINGS_PROBE_PORT"):
                ask()


def test_looking_for_a_free_port_leaves_it_free() -> None:
    server = probes.serve(dict, port=0)
    port = server.server_port
    server.shutdown()
    server.server_close()
    probes.require_free(port)
    probes.require_free(port)
