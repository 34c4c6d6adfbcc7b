"""Whether parameters fit a kind, for those who cannot import its module: by the JSON Schema that its consumer left.

What a schema cannot say, such as a rule over two fields, is found by the worker, with the model itself.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from functools import lru_cache
from hashlib import sha256
from typing import Any, Protocol
from uuid import UUID

from jsonschema_rs import Draft202012Validator, RegexOptions, ValidationError
from pydantic import AnyUrl, EmailStr, TypeAdapter
from sqlmodel import Session

from infra.database import consumers, jobs
from infra.errors import NotKnown, NotPossible
from infra.fitting import Misfit, UnfitParameters
from infra.jobs.kinds import Unique

#: Where the parameters are in what people send.
_PLACE = "parameters"
#: What is wrong, by the keyword of JSON Schema that says so; what stands in braces is the keyword's own value.
_MESSAGES = {
    "enum": "This must be one of {options}.",
    "const": "This must be {expected_value}.",
    "minimum": "This must be at least {limit}.",
    "maximum": "This must be at most {limit}.",
    "exclusiveMinimum": "This must be greater than {limit}.",
    "exclusiveMaximum": "This must be less than {limit}.",
    "multipleOf": "This must be a multiple of {multiple_of}.",
    "minLength": "This must have at least {limit} characters.",
    "maxLength": "This must have at most {limit} characters.",
    "minItems": "This must have at least {limit} items.",
    "maxItems": "This must have at most {limit} items.",
    "minProperties": "This must have at least {limit} members.",
    "maxProperties": "This must have at most {limit} members.",
    "uniqueItems": "This has the same item twice.",
    "pattern": "This must match {pattern}",
    "format": "This must be {format}.",
    "required": "This is required.",
    "additionalProperties": "There is no such field; is it a typing error?",
}
#: Formats, as people call them.
_CALLED = {
    "date-time": "a time such as 2026-11-22T09:30:00Z",
    "date": "a day such as 2026-11-22",
    "time": "a time of day such as 09:30:00",
    "duration": "a duration such as PT1H30M",
    "uuid": "a UUID in small letters, with its hyphens",
    "email": "an e-mail address",
    "uri": "an address such as https://example.com/",
}
_NONE_OF_THEM = "This fits none of the forms that the kind takes."
_ARTICLES = {"array": "an", "integer": "an", "object": "an", "null": ""}


def _reads(kind: Any) -> Any:
    adapter = TypeAdapter(kind)

    def fits(text: str) -> bool:
        try:
            adapter.validate_python(text)
        except ValueError:
            return False
        return True

    return fits


def _is_canonical(text: str) -> bool:
    """One spelling only: by another one neither a job with the same parameters nor a person's data would be found."""
    try:
        return str(UUID(text)) == text
    except ValueError:
        return False


#: Pydantic names its types by formats that are narrower than what it reads: so it is asked itself.
_FORMATS = {
    "date-time": _reads(datetime),
    "date": _reads(date),
    "time": _reads(time),
    "duration": _reads(timedelta),
    "uuid": _is_canonical,
    "email": _reads(EmailStr),
    "uri": _reads(AnyUrl),
}


class _Validator(Protocol):
    def iter_errors(self, instance: Any) -> Iterator[ValidationError]: ...


@dataclass(frozen=True, slots=True)
class Offered:
    """A kind of jobs as its consumer left it in the database."""

    kind: str
    unique: Unique | None
    #: Whether the end of such a job is announced.
    announces: bool
    _validator: _Validator = field(repr=False)
    _defaults: Mapping[str, Any] = field(repr=False)

    def check(self, parameters: Mapping[str, Any]) -> None:
        """Refuse what the kind does not take.

        Raises:
            UnfitParameters: names each field that is wrong, and repeats no value.
        """
        if wrong := [each for error in self._validator.iter_errors(parameters) for each in _misfits(error)]:
            raise UnfitParameters(wrong)

    def unique_key(self, parameters: Mapping[str, Any]) -> str | None:
        """The same for two jobs of which one is enough; a default counts like the same value written out."""
        if self.unique is None:
            return None
        text = json.dumps({**self._defaults, **parameters}, sort_keys=True, separators=(",", ":"))
        return sha256(text.encode()).hexdigest()


def find(session: Session, kind: str) -> Offered:
    """A kind that jobs may be asked of.

    Raises:
        NotKnown: no consumer of this name is recorded, or it is no kind of jobs.
        NotPossible: it is on its way out.
    """
    row = jobs.offer(session, kind) if kind.isascii() and kind.isprintable() else None
    offered = None if row is None else _offered(kind, row.options)
    if row is None or offered is None:
        raise NotKnown(f"No kind of jobs has this name; {_known(session)}.")
    if row.retiring_since is not None:
        raise NotPossible(f"The kind {kind} is being retired: it takes no new jobs.")
    return offered


def described(session: Session, kind: str) -> Offered | None:
    """The same without a question whether it takes new jobs; None: it is known no more."""
    row = jobs.offer(session, kind)
    return None if row is None else _offered(kind, row.options)


def _known(session: Session) -> str:
    names = [row.consumer for row in consumers.declared(session) if row.options.get("job")]
    return f"there are {', '.join(names)}" if names else "there is none: is a consumers program with one declared?"


@lru_cache(maxsize=256)
def _offered(kind: str, options: str) -> Offered | None:
    """Made once for each version of what the consumer left."""
    said = json.loads(options).get("job")
    if not said:
        return None
    schema = said["parameters"]
    validator = Draft202012Validator(
        _strict(schema), formats=_FORMATS, validate_formats=True, pattern_options=RegexOptions(), offline=True
    )
    fields = schema.get("properties", {})
    defaults = {name: each["default"] for name, each in fields.items() if "default" in each}
    return Offered(kind, said["unique"], said["announce"], validator, defaults)


def _strict(schema: Any) -> Any:
    """A model that does not say what becomes of unknown fields passes over them: here they are typing errors."""
    if isinstance(schema, list):
        return [_strict(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    made = {name: each if name in _VALUES else _strict(each) for name, each in schema.items()}
    if isinstance(schema.get("properties"), dict) and schema.get("type") == "object":
        made.setdefault("additionalProperties", False)
    return made


#: Keywords that hold values and no schemas.
_VALUES = frozenset({"default", "enum", "const", "examples"})


def _misfits(error: ValidationError) -> Iterator[Misfit]:
    name, said = error.kind.name, error.kind.as_dict()
    place = (_PLACE, *error.instance_path)
    if name in {"anyOf", "oneOf"} and (inner := _nearest(said["context"])):
        for each in inner:
            yield from _misfits(each)
    elif name == "required":
        yield (*place, said["property"]), "missing", _MESSAGES[name]
    elif name == "additionalProperties":
        for each in said["unexpected"]:
            yield (*place, each), "extra_forbidden", _MESSAGES[name]
    else:
        yield place, name, _NONE_OF_THEM if name in {"anyOf", "oneOf"} else _message(name, said)


def _nearest(branches: Sequence[Sequence[ValidationError]]) -> Sequence[ValidationError]:
    """Of several ways to fit, the one that was meant: of `X or null`, and what has the right type at least."""
    depth = min((len(each.instance_path) for branch in branches for each in branch), default=0)
    typed = [
        branch
        for branch in branches
        if not any(each.kind.name == "type" and len(each.instance_path) == depth for each in branch)
    ]
    return typed[0] if len(typed) == 1 else ()


def _message(keyword: str, said: Mapping[str, Any]) -> str:
    if keyword == "type":
        types = [f"{_ARTICLES.get(each, 'a')} {each}".strip() for each in said["types"]]
        return f"This must be {' or '.join(types)}."
    values = {name: _listed(value) for name, value in said.items()}
    if keyword == "format":
        values = {"format": _CALLED.get(said["format"], said["format"])}
    return _MESSAGES.get(keyword, "This is not what the kind takes.").format(**values)


def _listed(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(_listed(each) for each in value)
    return value if isinstance(value, str) else json.dumps(value, default=str)
