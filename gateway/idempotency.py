"""A POST that may be sent twice and works once: the header Idempotency-Key (draft-ietf-httpapi-idempotency-key-header).

The answer is kept in the transaction of the work itself, so there is no moment at which one exists without the other.
Only successes are kept: a refused request has done nothing, and is judged anew.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from hashlib import sha256
from typing import Annotated

from fastapi import Depends, Header, Request
from sqlalchemy import bindparam, select, update
from sqlmodel import Session
from starlette.responses import Response

from gateway.insertion import InsertNew
from gateway.problems import Problem
from gateway.writing import write
from infra.database.engine import Database
from infra.database.tables import Idempotency, table

_TABLE = table(Idempotency)
_claim = InsertNew(Idempotency, unique="key")
_KEEP = (
    update(_TABLE)
    .where(_TABLE.c.key == bindparam("claimed"))
    .values(status=bindparam("code"), headers=bindparam("fields"), body=bindparam("text"))
)
_FIND = select(_TABLE.c.fingerprint, _TABLE.c.status, _TABLE.c.body, _TABLE.c.headers).where(
    _TABLE.c.key == bindparam("claimed")
)


class KeyReused(Problem, kind="idempotency-key-reused", status=422):
    """This Idempotency-Key was sent before with another body."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a POST answers, as it can be kept and given again; the body is JSON."""

    status: int
    body: str
    headers: dict[str, str]
    replayed: bool = False

    def response(self) -> Response:
        """The answer for the wire; a repeated one says so."""
        extra = {"Idempotency-Replayed": "true"} if self.replayed else {}
        return Response(self.body, self.status, self.headers | extra, "application/json")


class Once:
    """Runs the work of one POST request."""

    def __init__(self, database: Database, key: str | None, fingerprint: str) -> None:
        self._database = database
        self._key = key
        self._fingerprint = fingerprint

    async def run(self, work: Callable[[Session], Answer]) -> Answer:
        """Do the work in a transaction and give its answer, or give the answer of the first request with this key.

        Raises:
            KeyReused: the first one had another body.
        """
        if self._key is not None:
            work = partial(_once, self._key, self._fingerprint, work)
        return await write(self._database, work)


async def once(
    request: Request,
    idempotency_key: Annotated[
        str | None,
        Header(
            min_length=1,
            max_length=255,
            pattern="^[!-~]*$",
            description="1 to 255 visible ASCII characters; the same request with the same key is carried out once.",
        ),
    ] = None,
) -> Once:
    """The dependency of every POST route."""
    database: Database = request.app.state.database
    if idempotency_key is None:
        return Once(database, None, "")
    key = f"{request.method} {request.url.path} {idempotency_key}"
    return Once(database, key, sha256(await request.body()).hexdigest())


OncePerKey = Annotated[Once, Depends(once)]


def _once(key: str, fingerprint: str, work: Callable[[Session], Answer], session: Session) -> Answer:
    # The key is claimed first, so that a second request waits for the first one's commit, or comes after it.
    unanswered = {"status": 0, "headers": {}, "body": "", "created_at": datetime.now(UTC)}
    if not _claim(session, {"key": key, "fingerprint": fingerprint, **unanswered}):
        return _repeat(session, key, fingerprint)
    answer = work(session)
    kept = {"claimed": key, "code": answer.status, "fields": answer.headers, "text": answer.body}
    session.connection().execute(_KEEP, kept)
    return answer


def _repeat(session: Session, key: str, fingerprint: str) -> Answer:
    row = session.connection().execute(_FIND, {"claimed": key}).one()
    if row.fingerprint != fingerprint:
        raise KeyReused("Send a new key with a new request.")
    return replace(Answer(row.status, row.body, row.headers), replayed=True)
