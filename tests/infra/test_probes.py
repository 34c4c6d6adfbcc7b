"""The probes of a program that is no web server."""

import json
from collections.abc import Iterator
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

from infra import probes


@pytest.fixture
def problems() -> dict[str, str]:
    return {}


@pytest.fixture
def url(problems: dict[str, str]) -> Iterator[str]:
    server = probes.serve(lambda: problems, port=0)
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


def test_metrics_are_in_prometheus_form(url: str) -> None:
    status, body = get(f"{url}/metrics")
    assert 200 == status
    assert "# TYPE tidings_outbox_rows gauge" in body


def test_anything_else_is_not_found(url: str) -> None:
    assert 404 == get(f"{url}/")[0]
