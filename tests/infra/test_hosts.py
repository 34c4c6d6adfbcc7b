"""URLs that name several hosts."""

import pytest

from infra.errors import ConfigurationError
from infra.hosts import Turns, each
from infra.settings import load


@pytest.mark.parametrize(
    ("url", "urls"),
    [
        ("amqp://one", ["amqp://one"]),
        ("amqp://me:se,cret@one/v", ["amqp://me:se,cret@one/v"]),
        ("amqp://me:p@one:1,two:2/v?a=b,c", ["amqp://me:p@one:1/v?a=b,c", "amqp://me:p@two:2/v?a=b,c"]),
        ("amqps://one, two", ["amqps://one", "amqps://two"]),
        ("amqp://[::1]:1,[::2]:2/v", ["amqp://[::1]:1/v", "amqp://[::2]:2/v"]),
    ],
)
def test_each_host_has_a_url_with_the_login_and_all_that_follows(url: str, urls: list[str]) -> None:
    assert urls == each(url)


def test_the_same_one_is_tried_until_it_fails_and_the_first_after_the_last() -> None:
    turns = Turns(["one", "two"])
    seen = [turns.current, turns.current]
    for _ in range(2):
        turns.turn()
        seen.append(turns.current)
    assert ["one", "one", "two", "one"] == seen


def test_the_url_of_a_cluster_is_a_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIDINGS_RABBITMQ_URL", "amqp://me:p@one:5672,two:5672,three/v")
    assert "amqp://me:p@one:5672,two:5672,three/v" == load().rabbitmq


@pytest.mark.parametrize("url", ["amqp://one,", "amqp://one,two:many", "amqp://,two", "one,two"])
def test_a_cluster_with_a_host_that_is_none_is_refused(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIDINGS_RABBITMQ_URL", url)
    with pytest.raises(ConfigurationError, match="TIDINGS_RABBITMQ_URL: it must look like"):
        load()
