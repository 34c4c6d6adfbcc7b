"""Operations over HTTP: which ones are asked for, and why one is stopped."""

from typing import Literal

from pydantic import BaseModel

from gateway.pages import Paging, Text
from infra.recovery.views import OperationState


class OperationFilter(Paging):
    """Which operations."""

    kind: Literal["replay", "schedule.backfill"] | None = None
    state: OperationState | None = None


class Stop(BaseModel, extra="forbid", frozen=True):
    """Why it is stopped."""

    why: Text | None = None
