"""When a schedule is due, as data: the same in code, in the database, on the wire, and in every replica."""

from typing import Annotated, Any

from pydantic import BaseModel, ValidatorFunctionWrapHandler, WrapValidator
from pydantic_core import PydanticCustomError

from infra.schedules.cron import Cron
from infra.schedules.daily import Daily
from infra.schedules.every import EPOCH, Every

__all__ = ["EPOCH", "Cron", "Daily", "Every", "Trigger", "read"]

_KINDS: dict[str, type[Every | Cron | Daily]] = {"every": Every, "cron": Cron, "daily": Daily}


def _chosen(given: object, _each_in_turn: ValidatorFunctionWrapHandler) -> Every | Cron | Daily:
    """The kind whose key is there reads the rest, so that an error is about one kind only."""
    if isinstance(given, Every | Cron | Daily):
        return given
    kinds = [kind for key, kind in _KINDS.items() if isinstance(given, dict) and key in given]
    if len(kinds) != 1:
        raise PydanticCustomError(
            "trigger",
            'a trigger is one of {"every": "10s"}, {"cron": "30 2 * * MON-FRI", "zone": "Europe/Berlin"} '
            'and {"daily": "07:00", "zone": "Europe/Berlin"}',
        )
    return kinds[0].model_validate(given)


#: As the type of a field, it names what is wrong: `trigger.cron`, `trigger.zone` …
Trigger = Annotated[Every | Cron | Daily, WrapValidator(_chosen)]


class _Given(BaseModel):
    trigger: Trigger


def read(data: Any) -> Every | Cron | Daily:
    """The trigger that these data describe.

    Raises:
        pydantic.ValidationError: they describe none; it names the field, as in `trigger.cron`.
    """
    return _Given(trigger=data).trigger
