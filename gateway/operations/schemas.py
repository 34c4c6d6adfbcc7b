"""Operations over HTTP: which ones are asked for, and why one is stopped or resumed."""

from typing import Literal

from pydantic import BaseModel

from gateway.pages import Paging, Text
from infra.recovery.views import OperationState


class OperationFilter(Paging):
    """Which operations."""

    kind: Literal["replay", "schedule.backfill", "consumer.backfill"] | None = None
    state: OperationState | None = None


class Reason(BaseModel, extra="forbid", frozen=True):
    """Why it is stopped, or goes on."""

    why: Text | None = None
