"""`/jobs/{id}/stream`: what becomes of a job, as server-sent events (WHATWG HTML, section 9.2) until it is over."""

import json
from datetime import datetime
from hashlib import sha256
from typing import Annotated, Any, Literal

from fastapi import Depends, Header, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from events.attributes import write_time
from gateway.identifiers import Id
from gateway.jobs.watching import Watcher, Watching
from gateway.methods import is_head
from gateway.openapi import problems
from gateway.presence import while_there
from gateway.problems import NotFound
from gateway.security import operator_router
from infra.database.job_standings import Standing

private = operator_router("jobs")
MEDIA_TYPE = "text/event-stream"
#: Seconds after which a comment shows that the connection is alive: whatever is between us gives up silent ones.
SILENCE = 15.0
#: Milliseconds after which a browser that lost the connection comes again.
_AGAIN = 2_000
_STREAM: dict[int | str, dict[str, Any]] = {
    200: {
        "content": {MEDIA_TYPE: {"schema": {"type": "string"}}},
        "description": "Events `state` (also the first one), `progress` and `end`; each one's data is the same JSON.",
    },
    204: {"description": "It is over, and you have its last event (`Last-Event-ID`): do not come again."},
}
What = Literal["state", "progress", "end"]


async def _watching(request: Request) -> Watching:
    """All that watch at this program."""
    found: Watching = request.app.state.watching
    return found


Watch = Annotated[Watching, Depends(_watching)]
LastId = Annotated[str | None, Header(description="`id` of the last event that you have: it is not sent again.")]


@private.get("/jobs/{id}/stream", response_class=Response, responses=_STREAM | problems(404, 503))
async def stream(
    id: Id,  # noqa: A002  # the path's own name for it
    watching: Watch,
    last_event_id: LastId = None,
) -> Response:
    """Where a job stands, again whenever that changes; the stream ends with the job."""
    if (standing := await watching.look(id)) is None:
        raise NotFound("No job has this id.")
    if standing.is_over and last_event_id == id_of(standing):
        return Response(status_code=204)  # a browser would come again for ever
    return Stream(watching, standing, last_event_id)


class Stream(Response):
    """Tells a client where a job stands until it is over, the client goes away, or the program ends."""

    def __init__(self, watching: Watching, standing: Standing, told: str | None) -> None:
        self.status_code = 200
        self.media_type = MEDIA_TYPE
        self.background = None
        self._watching, self._standing, self._told = watching, standing, told
        self.init_headers({"Cache-Control": "no-store", "X-Accel-Buffering": "no"})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send event after event."""
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        if not is_head(scope):
            await while_there(receive, self._tell(send))
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _tell(self, send: Send) -> None:
        await _say(send, f"retry: {_AGAIN}\n\n")
        async with self._watching.watch(self._standing) as watcher:
            before: Standing | None = None
            while (standing := watcher.standing) is not None:
                if id_of(standing) != self._told:
                    await _say(send, event(standing, before))
                self._told, before = id_of(standing), standing
                if standing.is_over or watcher.is_sent_away:
                    return
                await _news(watcher, send)


async def _news(watcher: Watcher, send: Send) -> None:
    while not await watcher.news(SILENCE):
        await _say(send, ": still there\n\n")


async def _say(send: Send, text: str) -> None:
    await send({"type": "http.response.body", "body": text.encode(), "more_body": True})


def event(standing: Standing, before: Standing | None) -> str:
    """One event; JSON has no line breaks, so its data is one line."""
    return f"event: {_what(standing, before)}\nid: {id_of(standing)}\ndata: {_data(standing)}\n\n"


def id_of(standing: Standing) -> str:
    """The same for the same standing at every gateway, so that any of them can go on where another one ended."""
    return sha256(_data(standing).encode()).hexdigest()[:16]


def _what(standing: Standing, before: Standing | None) -> What:
    if standing.is_over:
        return "end"
    return "progress" if before is not None and _state(before) == _state(standing) else "state"


def _state(standing: Standing) -> tuple[Any, ...]:
    return standing.state, standing.attempts, standing.cancelled_at, standing.error, standing.retry_at


def _data(standing: Standing) -> str:
    """A part of the job as `GET /jobs/{id}` has it."""
    has_result = standing.state == "succeeded" and standing.has_files
    what = {
        "id": standing.id,
        "state": standing.state,
        "cancelling": standing.cancelled_at is not None and not standing.is_over,
        "progress": standing.progress,
        "progress_text": standing.progress_text,
        "attempts": standing.attempts,
        "error": standing.error,
        "updated_at": write_time(standing.updated_at),
        "finished_at": _time(standing.finished_at),
        "retry_at": _time(standing.retry_at),
        "result": f"/jobs/{standing.id}/result" if has_result else None,
    }
    return json.dumps(what, ensure_ascii=False, separators=(",", ":"))


def _time(moment: datetime | None) -> str | None:
    return None if moment is None else write_time(moment)
