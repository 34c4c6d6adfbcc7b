"""Who may do what: everything but the public routes asks for the operator's token."""

from typing import Any

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from tests.gateway.conftest import TOKEN
from tests.problems import told

PUBLIC = {("POST", "/users"), ("GET", "/livez"), ("GET", "/readyz"), ("GET", "/schemas/{type}/{version}")}

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


def operations(app: FastAPI) -> dict[tuple[str, str], dict[str, Any]]:
    """Every operation that the OpenAPI document knows."""
    return {
        (method.upper(), path): operation
        for path, methods in app.openapi()["paths"].items()
        for method, operation in methods.items()
    }


def test_every_other_route_refuses_who_has_no_token(app: FastAPI, client: TestClient) -> None:
    private = operations(app).keys() - PUBLIC
    assert len(private) >= 6
    for method, path in private:
        for headers in (
            {},
            {"authorization": "Bearer wrong"},
            {"authorization": f"Basic {TOKEN}"},
            {"authorization": TOKEN},
        ):
            answer = client.request(method, path.replace("{id}", "x"), headers=headers)
            assert told(answer) == (401, "unauthorized"), f"{method} {path}"
            assert answer.headers["www-authenticate"].startswith('Bearer realm="tidings"')


def test_the_document_says_which_routes_ask_for_the_token(app: FastAPI) -> None:
    asking = {place for place, operation in operations(app).items() if operation.get("security") == [{"operator": []}]}
    assert operations(app).keys() - PUBLIC == asking


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/docs", "/openapi.json", "/schemas/user.registered/1"])
def test_the_public_routes_need_no_token(client: TestClient, path: str) -> None:
    assert client.get(path).status_code == 200


@pytest.mark.parametrize("token", ["", TOKEN + "x", TOKEN[:-1], TOKEN.upper(), "ÿ", "\x00"])
def test_only_the_very_token_opens(client: TestClient, token: str) -> None:
    answer = client.get("/users", headers={b"authorization": f"Bearer {token}".encode("latin-1")})
    assert told(answer) == (401, "unauthorized")


def test_a_wrong_token_is_told_before_a_wrong_parameter(client: TestClient) -> None:
    assert told(client.get("/users?limit=0")) == (401, "unauthorized")


def test_the_token_is_in_no_answer(operator: TestClient) -> None:
    for path in ("/users", "/readyz", "/openapi.json", "/metrics", "/nowhere"):
        assert TOKEN not in operator.get(path).text
