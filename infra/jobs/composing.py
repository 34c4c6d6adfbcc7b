"""Putting together what does the jobs of a process."""

from collections.abc import Callable

from infra.database.engine import Database
from infra.jobs import storing
from infra.jobs.results import Results
from infra.jobs.running import Running
from infra.settings import Settings


def running(database: Database, settings: Settings, *, is_stopping: Callable[[], bool]) -> Running:
    """With results in the store that the settings name."""
    store, kept = storing.store(settings.results), settings.retention.results
    return Running(database, lambda job_id: Results(store, job_id, kept), is_stopping=is_stopping)
