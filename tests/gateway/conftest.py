"""The gateway under test: in process over either database, and behind a real uvicorn."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from gateway.app import create_app
from infra.database.engine import Database, connect
from infra.settings import Settings
from tests.web_server import WebServer

TOKEN = "operator-token-of-the-tests"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings that keep everything in the test's folder."""
    return Settings(operator_token=TOKEN, state_dir=tmp_path)


@pytest.fixture
def app(settings: Settings, database: Database) -> FastAPI:
    """The application over a fresh database of each kind, without a relay."""
    return create_app(settings, database, None)


@pytest.fixture
def client(app: FastAPI) -> Iterator[TestClient]:
    """Somebody without a token."""
    with TestClient(app) as client:
        yield client


@pytest.fixture
def operator(app: FastAPI) -> Iterator[TestClient]:
    """Somebody with the operator's token."""
    with TestClient(app, headers={"authorization": f"Bearer {TOKEN}"}) as client:
        yield client


@pytest.fixture
def sqlite_database(sqlite_url: str) -> Iterator[Database]:
    """A fresh SQLite database, for what does not depend on the kind."""
    database = connect(sqlite_url)
    yield database
    database.close()


@pytest.fixture
def server(settings: Settings, sqlite_database: Database) -> Iterator[WebServer]:
    """The application behind a real uvicorn on a free port."""
    with WebServer(create_app(settings, sqlite_database, None)) as server:
        yield server


@pytest.fixture
def ada() -> dict[str, Any]:
    """A registration."""
    return {"name": "Ada Lovelace", "email": "ada@example.com"}
