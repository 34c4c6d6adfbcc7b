"""The newer RabbitMQ, where it cannot be had: one line that says why, and what to do."""

import os
from pathlib import Path

import pytest

from infra.errors import ConfigurationError
from tests import roots

pytestmark = pytest.mark.usefixtures("empty_cache")


@pytest.fixture
def empty_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


def test_only_root_can_unpack_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(ConfigurationError, match=r"^RabbitMQ 4 is unpacked and run by root alone[^\n]*'not 4\.x'\.$"):
        roots.root()


def test_without_a_network_it_says_why_and_what_is_half_done_does_not_count(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(roots, "SUITES", ("forky",))
    monkeypatch.setattr(roots, "_sources", lambda suite: f"deb http://127.0.0.1:1/debian {suite} main\n")
    with pytest.raises(
        ConfigurationError, match=r"^[^\n]*forky cannot be unpacked[^\n]*network, or [^\n]*'not 4\.x'\.$"
    ):
        roots.root(say=lambda _: None)
    assert [] == list(tmp_path.rglob("complete"))
