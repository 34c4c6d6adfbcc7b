"""What tests of the relay share."""

import pytest

from infra.relaying import relay


@pytest.fixture
def without_polls(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody looks into the outbox but who is rung for: so it was the ring, however long a busy machine took for it."""
    monkeypatch.setattr(relay, "POLL", 600.0)
