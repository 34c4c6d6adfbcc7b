"""Kinds of jobs: `@job` records a function as the one that does them; nothing else happens until a program asks."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

from pydantic import BaseModel
from pydantic.errors import PydanticUserError

from events.envelope import Event
from events.jobs import JobRequested
from infra.errors import ConfigurationError
from infra.handlers import Context, Handler
from infra.jobs.handlers import Job, JobHandler
from infra.retrying import Retry
from infra.subscriptions import Subscription, enter, first_line, types_of

__all__ = ["Job", "Kind", "Runner", "job", "kind_of"]
H = TypeVar("H", bound=JobHandler)
#: What becomes of a second request with the same parameters while the first one's job is open.
Unique = Literal["refuse", "join"]
#: RFC 9110, section 8.3.1, without quoted values.
_MEDIA_TYPE = re.compile(r"[a-z0-9!#$&^_.+-]{1,60}/[a-z0-9!#$&^_.+-]{1,60}(; ?[a-z0-9-]+=[A-Za-z0-9._-]+){0,3}")


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of jobs."""

    name: str
    handler: JobHandler = field(repr=False)
    parameters: type[BaseModel]
    #: A model, or the media type of what the function gives; None: it gives nothing.
    result: type[BaseModel] | str | None = None
    unique: Unique | None = None
    #: Announce `job.ended` when a job is over.
    announce: bool = False
    #: Seconds of work, over all the stints of a try.
    timeout: float = 3_600.0

    def described(self) -> dict[str, Any]:
        """As JSON, for those who cannot import its module."""
        model = self.result if isinstance(self.result, type) else None
        return {
            "parameters": self.parameters.model_json_schema(),
            "media_type": "application/json" if model else self.result,
            "result": model and model.model_json_schema(mode="serialization"),
            "unique": self.unique,
            "announce": self.announce,
        }


class Runner:
    """Does the jobs of a program: what its consumers are provided with, by this class."""

    def run(self, kind: Kind, event: JobRequested, context: Context) -> None:
        """One delivery of the request for a job."""
        raise NotImplementedError


def job(  # noqa: PLR0913  # each has a default
    name: str,
    *,
    parameters: type[BaseModel],
    result: type[BaseModel] | str | None = None,
    unique: Unique | None = None,
    announce: bool = False,
    concurrency: int = 2,
    timeout: float = 3_600.0,
    retry: Retry = Retry.DEFAULT,
    publishes: type[Event] | Iterable[type[Event]] | None = None,
) -> Callable[[H], H]:
    """Record a function as the one that does the jobs of a kind; it stays a function.

    `timeout` is in seconds of work, over all the stints of a try. `concurrency` jobs are done at once in one process.

    Raises:
        ConfigurationError: the name cannot name a queue or is taken, or an option makes no sense.
    """
    _check(name, parameters, unique)
    _check_schemas(name, parameters, result)

    def record(handler: H) -> H:
        kind = Kind(name, handler, parameters, result, unique, announce, timeout)
        enter(
            Subscription(
                consumer=name,
                types=(JobRequested.type_of(name),),
                handler=_delivered(kind),
                concurrency=concurrency,
                timeout=timeout,
                retry=retry,
                description=first_line(handler.__doc__),
                publishes=None if publishes is None else types_of(publishes),
                prefetch=concurrency,  # what waits behind a long job must not wait here
                job=kind.described(),
            )
        )
        _kinds[name] = kind
        return handler

    return record


def _check(name: str, parameters: object, unique: object) -> None:
    if unique not in (None, "refuse", "join"):
        raise ConfigurationError(f"{name}: unique is 'refuse' or 'join', or left out.")
    if not (isinstance(parameters, type) and issubclass(parameters, BaseModel)) or parameters is BaseModel:
        raise ConfigurationError(f"{name}: parameters is a Pydantic model, as in parameters=ActivityReport.")


def _check_schemas(name: str, parameters: type[BaseModel], result: object) -> None:
    """Whoever cannot import its module knows the kind by its JSON Schemas alone."""
    given: dict[str, object] = {"parameters": parameters, "result": result}
    if not (result is None or (isinstance(result, type) and issubclass(result, BaseModel)) or is_media_type(result)):
        raise ConfigurationError(f"{name}: result is a Pydantic model or a media type, as in result='text/csv'.")
    for role, model in given.items():
        if isinstance(model, type) and issubclass(model, BaseModel):
            try:
                model.model_json_schema(mode="serialization" if role == "result" else "validation")
            except PydanticUserError as error:
                reason = error.message.partition("\n")[0]
                raise ConfigurationError(f"{name}: {role}={model.__name__} has no JSON Schema: {reason}.") from None


def is_media_type(text: object) -> bool:
    """Whether it can be said in a header as what a file is."""
    return isinstance(text, str) and _MEDIA_TYPE.fullmatch(text) is not None


def _delivered(kind: Kind) -> Handler:
    """The consumer's handler; its module and docstring are those of the function that it stands for."""

    def handle(event: JobRequested, context: Context) -> None:
        context.provided(Runner).run(kind, event, context)

    handle.__module__, handle.__doc__ = kind.handler.__module__, kind.handler.__doc__
    return handle


def kind_of(subscription: Subscription) -> Kind | None:
    """The kind that a subscription is of; None: it is no kind of jobs."""
    return _kinds.get(subscription.consumer) if subscription.job is not None else None


_kinds: dict[str, Kind] = {}
