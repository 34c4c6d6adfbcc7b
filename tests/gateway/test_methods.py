"""HEAD, OPTIONS and Allow."""

import pytest
from starlette.testclient import TestClient

from tests.problems import told

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@pytest.mark.parametrize(
    ("path", "allow"),
    [
        ("/users", "GET, HEAD, OPTIONS, POST"),
        ("/schedules/tick/backfill", "OPTIONS, POST"),
        ("/users/8f0f4ab4-6a07-4b6e-8f0d-0d3a1a6c2b51", "GET, HEAD, OPTIONS"),
        ("/livez", "GET, HEAD, OPTIONS"),
        ("/docs", "GET, HEAD, OPTIONS"),
        ("/catalogue", "GET, HEAD, OPTIONS"),
    ],
)
def test_an_address_says_all_methods_that_it_takes(client: TestClient, path: str, allow: str) -> None:
    options, patch = client.options(path), client.patch(path)
    assert (options.status_code, options.headers["allow"], options.content) == (204, allow, b"")
    assert (*told(patch), patch.headers["allow"]) == (405, "method-not-allowed", allow)


def test_nothing_takes_options_where_nothing_is(client: TestClient) -> None:
    assert told(client.options("/nowhere")) == (404, "not-found")


@pytest.mark.parametrize("path", ["/livez", "/users", "/openapi.json", "/asyncapi.json", "/catalogue"])
def test_head_is_get_without_the_body(operator: TestClient, path: str) -> None:
    head, get = operator.head(path), operator.get(path)
    assert (head.status_code, head.content) == (get.status_code, b"")
    assert head.headers == get.headers
