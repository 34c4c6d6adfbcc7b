"""The OpenAPI document says how errors look; requests that are made from it: test_fuzz.py."""

import pytest
from fastapi import FastAPI

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


def test_every_error_in_the_document_is_a_problem(app: FastAPI) -> None:
    for path, methods in app.openapi()["paths"].items():
        for method, operation in methods.items():
            errors = {status: answer for status, answer in operation["responses"].items() if status[0] in "45d"}
            assert "default" in errors, f"{method} {path}"
            assert {"application/problem+json"} == {kind for answer in errors.values() for kind in answer["content"]}
