"""Which deeds of the audit are asked for."""

from pydantic import Field

from gateway.pages import Moment, Paging, Text


class AuditFilter(Paging):
    """Which of them."""

    who: Text | None = None
    action: Text | None = Field(default=None, examples=["dead-letter.replay"])
    target: Text | None = None
    since: Moment | None = Field(default=None, description="Done at this moment or after it.")
    until: Moment | None = Field(default=None, description="Done before this moment.")
