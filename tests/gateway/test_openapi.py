"""The OpenAPI document is true: requests made from it never make the gateway stumble."""

from typing import Any

import pytest
import schemathesis
from fastapi import FastAPI
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok

from tests.gateway.conftest import TOKEN

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


def test_every_error_in_the_document_is_a_problem(app: FastAPI) -> None:
    for path, methods in app.openapi()["paths"].items():
        for method, operation in methods.items():
            errors = {status: answer for status, answer in operation["responses"].items() if status[0] in "45d"}
            assert "default" in errors, f"{method} {path}"
            assert {"application/problem+json"} == {kind for answer in errors.values() for kind in answer["content"]}


@pytest.mark.timeout(60)
def test_requests_made_from_the_document_never_fail_in_us(app: FastAPI) -> None:
    schema = schemathesis.openapi.from_asgi("/openapi.json", app)
    for found in schema.get_all_operations():
        assert isinstance(found, Ok)
        _try(found.ok())


def _try(operation: Any) -> None:
    @settings(max_examples=15, derandomize=True, database=None, deadline=None, phases=[Phase.generate],
              suppress_health_check=list(HealthCheck))  # fmt: skip
    @given(case=operation.as_strategy())
    def call(case: Any) -> None:
        case.call_and_validate(headers={"authorization": f"Bearer {TOKEN}"}, checks=[not_a_server_error])

    call()
