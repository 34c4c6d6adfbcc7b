"""`/livez`, `/readyz`, `/health` and `/metrics`: for supervisors, load balancers, operators and Prometheus."""

from dataclasses import asdict
from datetime import UTC, datetime
from math import nan
from typing import Annotated, Any

from fastapi import Query, Request
from pydantic import BaseModel
from starlette.responses import JSONResponse, Response

from gateway.dependencies import Db
from gateway.openapi import problems
from gateway.pages import Page
from gateway.problems import Problem
from gateway.readiness import Readiness
from gateway.security import operator_router, public_router
from infra import metrics
from infra.database import health, job_standings, outbox
from infra.database.engine import Database
from infra.database.schedule_tables import Health
from infra.errors import DatabaseUnavailable
from infra.watching import views
from infra.watching.views import HealthState, HealthView

public = public_router("health")
private = operator_router("health")


class NotReady(Problem, kind="not-ready", status=503):
    """The gateway cannot do its work now."""


class Check(BaseModel):
    """One thing that was looked at."""

    status: str
    detail: str


class Ready(BaseModel):
    """The gateway does its work; `degraded` says that something behind it needs an operator."""

    status: str
    broker: str
    problems: list[str]
    checks: dict[str, Check]


class Alive(BaseModel):
    """The program answers."""

    status: str


class HealthFilter(BaseModel, extra="forbid", frozen=True):
    """Which components."""

    state: HealthState | None = None


@public.get("/livez", response_model=Alive)
async def livez() -> Response:
    """Whether the program answers at all; it asks nothing of anybody else."""
    return JSONResponse({"status": "alive"})


@public.get("/readyz", response_model=Ready, responses=problems(503))
async def readyz(request: Request) -> Response:
    """Whether the gateway can take requests, and whether all is well behind it."""
    readiness: Readiness = request.app.state.readiness
    report = await readiness.report()
    checks = {name: asdict(check) for name, check in report.checks.items()}
    broker = checks.get("broker", {}).get("detail", "unknown")
    members: dict[str, Any] = {"broker": broker, "problems": report.problems, "checks": checks}
    if not report.ready:
        raise NotReady("; ".join(report.problems), headers={"Retry-After": "5"}, **members)
    return JSONResponse({"status": "degraded" if report.problems else "ready", **members})


@private.get("/health", response_model=Page[HealthView], responses=problems(422))
def components(wanted: Annotated[HealthFilter, Query()], database: Db) -> Response:
    """What Tidings needs, as it was found last: broker, database, mail server, and the road to the consumers."""
    with database.reading() as session:
        found = views.everything(session, datetime.now(UTC), wanted.state)
    return Response(Page(items=found, next=None).model_dump_json(), media_type="application/json")


@private.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
def prometheus(database: Db) -> Response:
    """Figures in the text format of Prometheus, whose `authorization` setting takes the operator's token."""
    _measure(database)
    return Response(metrics.render(), media_type="text/plain; version=0.0.4; charset=utf-8")


def _measure(database: Database) -> None:
    try:
        with database.reading() as session:
            backlog = outbox.backlog(session)
            jobs = job_standings.open_ones(session)
            _measure_health(health.everything(session), datetime.now(UTC))
    except DatabaseUnavailable:  # unknown, and the other figures are wanted now more than ever
        rows = oldest = set_aside = nan
        _measure_jobs({}, nan)
    else:
        rows, set_aside = backlog.rows, backlog.set_aside
        oldest = (datetime.now(UTC) - backlog.oldest).total_seconds() if backlog.oldest else 0.0
        _measure_jobs(jobs, 0)
    metrics.OUTBOX_ROWS.set(rows)
    metrics.OUTBOX_OLDEST.set(oldest)
    metrics.OUTBOX_SET_ASIDE.set(set_aside)


def _measure_health(found: list[Health], now: datetime) -> None:
    for row in found:
        metrics.HEALTHY.labels(row.component).set(row.state == "ok")
        metrics.HEALTH_AGE.labels(row.component).set((now - row.checked_at).total_seconds())


def _measure_jobs(found: dict[tuple[str, str], int], others: float) -> None:
    """`others` is the figure of those that were shown before, and of which nothing is found now."""
    shown = [
        (sample.labels["kind"], sample.labels["state"]) for each in metrics.JOBS.collect() for sample in each.samples
    ]
    for labels, number in {**dict.fromkeys(shown, others), **found}.items():
        metrics.JOBS.labels(*labels).set(number)
