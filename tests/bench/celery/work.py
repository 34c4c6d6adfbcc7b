"""The task and the app of the Celery side; run by `celery --app tests.bench.celery.work worker`."""

import os

from celery import Celery

from tests.bench.jobs import digesting

app = Celery("bench", broker=os.environ["CELERY_SIDE_BROKER"], backend=os.environ["CELERY_SIDE_RESULTS"])
if os.environ.get("CELERY_SIDE_SAFE"):
    # What it takes until it promises what ours does, as far as it can: a task that was taken is not lost.
    app.conf.update(
        broker_transport_options={"confirm_publish": True},
        task_acks_late=True,
        task_default_queue_type="quorum",
        task_reject_on_worker_lost=True,
        task_track_started=True,
    )


def _digest(number: int, size: int) -> dict[str, object]:
    return {"number": number, "digest": digesting.digest(number, size)}


#: The task.
digest = app.task(_digest, name="digest")
