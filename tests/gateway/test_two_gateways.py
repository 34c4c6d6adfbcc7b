"""Two gateways on one database keep what one alone promises."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import pytest
from sqlmodel import col, func, select
from starlette.testclient import TestClient

from gateway.app import create_app
from infra.database.engine import connect
from infra.database.tables import User
from infra.settings import Settings

Pair = tuple[TestClient, TestClient]


@pytest.fixture
def pair(settings: Settings, database_url: str) -> Iterator[Pair]:
    """Clients of two gateways, each with connections and a writer thread of its own."""
    with ExitStack() as stack:
        databases = [connect(database_url) for _ in range(2)]
        for database in databases:
            stack.callback(database.close)
        apps = [create_app(settings, database, None) for database in databases]
        first, second = (stack.enter_context(TestClient(app)) for app in apps)
        yield first, second


def test_the_same_keys_sent_to_both_at_once_work_once_each(pair: Pair, database: Any) -> None:
    def register(number: int) -> tuple[int, bytes]:
        # Both gateways get the same keys, in opposite orders.
        n = number // 2 if number % 2 else 19 - number // 2
        answer = pair[number % 2].post(
            "/users", json={"name": "N", "email": f"n{n}@example.com"}, headers={"idempotency-key": str(n)}
        )
        return answer.status_code, answer.content

    with ThreadPoolExecutor(16) as threads:
        answers = list(threads.map(register, range(40)))

    assert {status for status, _ in answers} == {201}
    assert len({content for _, content in answers}) == 20
    with database.reading() as session:
        assert session.exec(select(func.count(col(User.id)))).one() == 20


def test_one_address_sent_to_both_at_once_registers_once(pair: Pair) -> None:
    with ThreadPoolExecutor(16) as threads:
        answers = threads.map(
            lambda n: pair[n % 2].post("/users", json={"name": "N", "email": "n@example.com"}), range(16)
        )
        assert sorted(answer.status_code for answer in answers) == [201, *[409] * 15]
