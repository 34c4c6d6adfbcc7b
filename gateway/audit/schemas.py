"""The audit as operators see it."""

from datetime import datetime
from typing import Any

from pydantic import BaseModel, Field

from gateway.pages import Moment, Paging, Text


class AuditItem(BaseModel, from_attributes=True):
    """One thing that an operator did."""

    id: str
    at: datetime
    who: str = Field(description="The header Tidings-Operator, or the user of the command line.")
    action: str = Field(examples=["dead-letter.replay"])
    target: str = Field(description="Id or name of what it was done to.")
    why: str
    details: dict[str, Any]


class AuditFilter(Paging):
    """Which of them."""

    who: Text | None = None
    action: Text | None = Field(default=None, examples=["dead-letter.replay"])
    target: Text | None = None
    since: Moment | None = Field(default=None, description="Done at this moment or after it.")
