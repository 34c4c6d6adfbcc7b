"""All consumers, from three sides: what the code says, what the database keeps, and what the broker has."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, TypeVar

from pydantic import BaseModel, Field

from infra.adding import checking
from infra.adding.roads import tries
from infra.commands.opened import opened
from infra.discovery import discover, module_of
from infra.errors import BrokerUnavailable, ConfigurationError, DatabaseUnavailable
from infra.rabbitmq.depths import Depth, depths
from infra.recovery import consumers
from infra.recovery.consumers import ConsumerView, PauseView
from infra.recovery.options import OptionsView
from infra.settings import Settings
from infra.subscriptions import EVERY_TYPE, Subscription, described, recorded

T = TypeVar("T")
ListedState = Literal["running", "paused", "probing", "retiring", "undeclared", "unknown"]
#: What the code says of a consumer, and the database may know from an older version only.
_OF_CODE = {"name", "description", "types", "module", "tries"}
#: Consumers that are looked at, which is all of them.
_ALL = 100_000


class Listed(BaseModel):
    """One consumer; what cannot be known now is null."""

    name: str
    description: str
    types: list[str]
    module: str | None = Field(description="That subscribes it; null: no module does.")
    state: ListedState = Field(description="undeclared: in the code alone so far; unknown: without a database.")
    options: OptionsView
    tries: str | None = Field(description="How often an event is tried, and over what time.")
    queued: int | None = Field(default=None, description="Messages that wait in its queue.")
    workers: int | None = Field(default=None, description="Worker processes attached to its queue.")
    pause: PauseView | None = None
    settled: int | None = None
    last: int | None = None
    lag_events: int | None = None
    lag_seconds: float | None = None
    resent: int | None = None
    waiting_events: int = 0
    waiting_subjects: int = 0
    since: int | None = None
    declared_at: datetime | None = None

    def takes(self, event_type: str) -> bool:
        """Whether events of this type are for it."""
        return self.types == [EVERY_TYPE] or event_type in self.types


@dataclass(slots=True)
class Overview:
    """What was found."""

    consumers: list[Listed]
    #: Modules that are not used -> why.
    ignored: Mapping[str, str]
    #: What could not be asked, a line each.
    missing: list[str] = field(default_factory=list)


def overview(settings: Settings) -> Overview:
    """Everything that can be found out now; whatever is away is told, and keeps nothing else from being shown."""
    found = discover(checking.packages(settings.further_consumers))
    code = {each.consumer: each for each in recorded() if module_of(each) in found.modules}
    overview = Overview([], found.ignored)
    views = _asked(lambda: _views(settings), overview, "how far each has come")
    names = sorted(code.keys() | (views or {}).keys())
    queues = _asked(lambda: depths(settings.rabbitmq, names), overview, "what waits in the queues")
    for name in names:
        one = _of_code(code[name], has_database=views is not None) if name in code else None
        overview.consumers.append(_joined(one, (views or {}).get(name), (queues or {}).get(name)))
    return overview


def _asked(ask: Callable[[], T], overview: Overview, what: str) -> T | None:
    try:
        return ask()
    except (ConfigurationError, DatabaseUnavailable, BrokerUnavailable) as error:
        overview.missing.append(f"Not shown: {what}. {error}")
        return None


def _views(settings: Settings) -> dict[str, ConsumerView]:
    if settings.database_url is None and not settings.database_file.exists():  # to look for it would make it
        raise ConfigurationError("There is no database yet: ./tidings up or ./tidings migrate makes it.")
    with opened() as database, database.reading() as session:
        return {view.name: view for view in consumers.newest(session, limit=_ALL)}


def _of_code(subscription: Subscription, *, has_database: bool) -> Listed:
    return Listed(
        name=subscription.consumer,
        description=subscription.description,
        types=list(subscription.types),
        module=module_of(subscription),
        state="undeclared" if has_database else "unknown",
        options=OptionsView.model_validate(described(subscription)),
        tries=tries(subscription.retry),
    )


def _joined(code: Listed | None, view: ConsumerView | None, depth: Depth | None) -> Listed:
    kept = {} if view is None else view.model_dump(exclude={"options"})
    said = {"module": None, "tries": None} if code is None else code.model_dump(include=_OF_CODE)
    options = code.options if code is not None else view.options if view is not None else OptionsView()
    state = kept.get("state") or (code.state if code is not None else "unknown")
    queue = {} if depth is None else {"queued": depth.waiting, "workers": depth.workers}
    return Listed.model_validate({**kept, **said, **queue, "state": state, "options": options})


def chosen(
    found: Iterable[Listed],
    *,
    state: ListedState | None,
    type: str | None,  # noqa: A002  # the filter's own name
    after: str | None,
    limit: int,
) -> list[Listed]:
    """Those in this state, that take events of this type, and that come after one by name."""
    return [
        each
        for each in found
        if state in {None, each.state} and (type is None or each.takes(type)) and (after is None or each.name > after)
    ][:limit]
