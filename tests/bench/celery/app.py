"""The Celery side's gateway: one endpoint that sends the task."""

from typing import Any

from fastapi import FastAPI

from tests.bench.celery.work import digest
from tests.bench.jobs.digesting import Digest, Wanted

app = FastAPI()


@app.post("/jobs", status_code=202)
def request(wanted: Wanted) -> dict[str, Any]:
    """Ask for a job; its state is to be read under its id."""
    asked: Digest = wanted.parameters
    return {"id": digest.delay(asked.number, asked.size).id, "state": "queued"}
