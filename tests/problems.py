"""Reading problem details in tests."""

import json
from typing import Any

from httpx2 import Response

from tests.web_server import Reply


def told(answer: Response | Reply) -> tuple[int, str]:
    """Status and kind of a problem, once it is sure that it has the form of one."""
    body = _body(answer)
    return body["status"], body["type"].removeprefix("/problems/")


def wrong(answer: Response | Reply) -> list[str]:
    """The fields that a 422 names."""
    assert told(answer) == (422, "invalid")
    return [error["field"] for error in _body(answer)["errors"]]


def _body(answer: Response | Reply) -> dict[str, Any]:
    status, content = (
        (answer.status, answer.body) if isinstance(answer, Reply) else (answer.status_code, answer.content)
    )
    assert answer.headers["content-type"] == "application/problem+json", content
    body: dict[str, Any] = json.loads(content)
    assert status == body["status"]
    assert body["title"]
    assert body["type"].startswith(("/problems/", "about:blank"))
    return body
