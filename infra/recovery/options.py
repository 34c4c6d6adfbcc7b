"""How a consumer takes events, as its module says: read from what the database keeps of it, of any age."""

from typing import Annotated

from pydantic import BaseModel, BeforeValidator, Field


class BatchView(BaseModel):
    """Several events at once, in one transaction."""

    size: int = Field(description="Events at most.")
    wait: float = Field(description="Seconds that the first one waits for others.")


class RetryView(BaseModel):
    """When a failed delivery is tried again."""

    delays: list[int] = Field(description="Seconds before each further try.")
    rules: int = Field(default=0, description="Rules of its own for some errors.")
    max_age: float | None = Field(default=None, description="Seconds of age after which no further try follows.")


class OptionsView(BaseModel):
    """A consumer's options; null where an older program recorded it, or where there is no such limit."""

    module: str | None = Field(default=None, description="Python module of its handler.")
    concurrency: int | None = Field(default=None, description="Deliveries at once in each worker process.")
    timeout: float | None = Field(default=None, description="Seconds that a handler may take.")
    batch: BatchView | None = None
    ordered: bool = Field(default=False, description="Events of one subject are handled in order.")
    filtered: bool = Field(default=False, description="A guard says which events it wants.")
    pause_after: int | None = Field(default=None, description="Failures in a row after which it pauses itself.")
    retry: RetryView | None = None
    job: Annotated[bool, BeforeValidator(bool)] = Field(
        default=False, description="It is a kind of jobs, which have processes of their own: see `/job-kinds`."
    )
    publishes: list[str] | None = Field(default=None, description="Types that it may publish; null: any.")
