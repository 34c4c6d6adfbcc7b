"""`/jobs/{id}/result`: what a job has made."""

from datetime import UTC, datetime
from typing import Annotated, Any

import structlog
from fastapi import Depends, Path, Request
from starlette.responses import Response

from gateway.dependencies import Db
from gateway.documents import cached
from gateway.identifiers import Id
from gateway.jobs import serving
from gateway.jobs.choosing import choose
from gateway.jobs.serving import FileAnswer
from gateway.openapi import problems
from gateway.problems import Gone, NotFound, Problem, Unavailable
from gateway.security import operator_router
from infra.database import job_files
from infra.database.engine import Database
from infra.database.job_tables import JobFile
from infra.errors import NotStored
from infra.jobs.storing import Store

private = operator_router("jobs")
_log = structlog.get_logger(__name__)
_TEXT = {"schema": {"type": "string"}}
_ANY: dict[str, Any] = {"*/*": {"schema": {"type": "string", "format": "binary"}}}
_SENT: dict[int | str, dict[str, Any]] = {
    200: {
        "content": _ANY,
        "headers": {"ETag": {**_TEXT, "description": "SHA-256 of the content."}},
        "description": "The file.",
    },
    206: {"content": _ANY, "description": "A range of the file."},
    304: {"description": "It is as you have it (`If-None-Match`)."},
}
_PROBLEMS = problems(404, 406, 409, 410, 416, 503)
Name = Annotated[str, Path(description="As in the job's `files`.", examples=["activity-report.csv"])]


class Unfinished(Problem, kind="job-unfinished", status=409):
    """This job has no result in its present state."""


class NotAcceptable(Problem, kind="not-acceptable", status=406):
    """None of the files is of a kind that you accept."""


async def _store(request: Request) -> Store:
    """The program's store of results."""
    found: Store = request.app.state.results
    return found


Results = Annotated[Store, Depends(_store)]


@private.get("/jobs/{id}/result", response_class=Response, responses=_SENT | _PROBLEMS)
def main(
    id: Id,  # noqa: A002  # the path's own name for it
    request: Request,
    database: Db,
    store: Results,
) -> Response:
    """The result of a job that has succeeded; of several files the one that `Accept` likes best, or the main one."""
    files = _files(database, id)
    if (file := choose(files, ",".join(request.headers.getlist("accept")))) is None:
        raise NotAcceptable(f"There is {', '.join(each.media_type for each in files)}.")
    return _answer(request, file, store)


@private.get("/jobs/{id}/result/{name}", response_class=Response, responses=_SENT | _PROBLEMS)
def named(
    id: Id,  # noqa: A002  # the path's own name for it
    name: Name,
    request: Request,
    database: Db,
    store: Results,
) -> Response:
    """One file of the result."""
    file = next((each for each in _files(database, id) if each.name == name), None)
    if file is None:
        raise NotFound("The result has no file of this name; the job's `files` are those that it has.")
    return _answer(request, file, store)


def _files(database: Database, job_id: str) -> list[JobFile]:
    with database.reading() as session:
        result = job_files.result(session, job_id)
    if result is None:
        raise NotFound("No job has this id.")
    if result.state != "succeeded":
        is_open = result.state not in {"failed", "cancelled"}
        raise Unfinished(
            f"The job is {result.state}.", headers={"Retry-After": "1"} if is_open else None, state=result.state
        )
    if not result.files:
        raise NotFound("This job has succeeded, and its kind gives no result.")
    return result.files


def _answer(request: Request, file: JobFile, store: Store) -> Response:
    has_expired = file.expires_at is not None and file.expires_at <= datetime.now(UTC)
    if file.key is None or has_expired:
        raise Gone("The result is kept no more: its time (TIDINGS_KEEP_RESULTS) is over, or somebody in it was erased.")
    if cached.has(request, serving.tag(file)):
        return Response(status_code=304, headers=serving.headers(file))
    try:
        return FileAnswer(file, store.open(file.key))
    except NotStored:
        # Not 404: it may well be there for another gateway, so whoever asks must not take it for lost.
        _log.error("a file of a result is not in the store", job=file.job_id, key=file.key)
        raise Unavailable("The file is not in this gateway's store of results: see TIDINGS_RESULTS_URL.") from None
