"""The OpenAPI document, with problem details where FastAPI would describe its own errors."""

import http
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from gateway.problems import MEDIA_TYPE

_PROBLEM: dict[str, Any] = {
    "title": "Problem",
    "description": "Problem details, RFC 9457.",
    "type": "object",
    "required": ["type", "title", "status"],
    "properties": {
        "type": {"type": "string", "format": "uri-reference", "examples": ["/problems/email-taken"]},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["in", "field", "message"],
                "properties": {
                    "in": {"enum": ["body", "query", "header", "path"]},
                    "field": {"type": "string"},
                    "message": {"type": "string"},
                },
            },
        },
        "correlation_id": {"type": "string", "description": "Of a 500: the log line has it too."},
    },
}
_CONTENT = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """A route's `responses`: the errors that a client should expect of it."""
    return {status: {"description": http.HTTPStatus(status).phrase, "content": _CONTENT} for status in statuses}


def describe(app: FastAPI) -> dict[str, Any]:
    """The document, made once; every operation says that any other answer is a problem too."""
    if app.openapi_schema is None:
        document = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
        document.setdefault("components", {}).setdefault("schemas", {})["Problem"] = _PROBLEM
        app.openapi_schema = document
    return app.openapi_schema


#: `responses` of the whole program; with a "default" FastAPI does not add its own 422.
ANY_PROBLEM: dict[int | str, dict[str, Any]] = {"default": {"description": "Any other problem", "content": _CONTENT}}
