"""What is asked of, and about, consumers over HTTP."""

from pydantic import BaseModel, Field

from gateway.pages import Paging, Text
from infra.recovery.consumers import ConsumerState


class ConsumerFilter(Paging):
    """Which consumers."""

    state: ConsumerState | None = None
    type: Text | None = Field(
        default=None, examples=["user.registered"], description="Those that take events of this type."
    )


class Why(BaseModel, extra="forbid", frozen=True):
    """The reason, for the audit; that of a pause is shown with the consumer, too."""

    why: Text
