"""The frozen schemas: what each version of each event type promised, and samples of it, as files beside the events."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import events
from infra.errors import ConfigurationError
from infra.schemas.rendering import written

#: `<type>/<version>.json` and `<type>/<version>.samples.json`.
FOLDER = Path(events.__path__[0]) / "schemas"
_SAMPLES = ".samples.json"


@dataclass(frozen=True, slots=True)
class Frozen:
    """One version of one type as it was frozen."""

    type: str
    version: int
    schema: dict[str, Any]
    #: Data of such events; none if nobody made any.
    samples: list[dict[str, Any]]


def every(folder: Path = FOLDER) -> list[Frozen]:
    """All that is frozen, by type and version."""
    return [_read(folder, each.parent.name, int(each.stem)) for each in _files(folder)]


def find(event_type: str, version: int, folder: Path = FOLDER) -> Frozen | None:
    """One version; the type must be one that can be, for it becomes a path."""
    return _read(folder, event_type, version) if _schema(folder, event_type, version).exists() else None


def keep_schema(event_type: str, version: int, schema: dict[str, Any], folder: Path = FOLDER) -> None:
    """Write a schema down, or again."""
    _write(_schema(folder, event_type, version), written(schema))


def keep_samples(event_type: str, version: int, samples: Sequence[dict[str, Any]], folder: Path = FOLDER) -> None:
    """Write samples down; what is there already is never written again, for it is the past."""
    file = _samples(folder, event_type, version)
    if not file.exists():
        _write(file, json.dumps(list(samples), indent=2, sort_keys=True, ensure_ascii=False) + "\n")


def has_samples(event_type: str, version: int, folder: Path = FOLDER) -> bool:
    """Whether somebody made samples of this version, by hand perhaps."""
    return _samples(folder, event_type, version).exists()


def _files(folder: Path) -> Iterator[Path]:
    found = (each for each in folder.glob("*/*.json") if each.stem.isdecimal())
    yield from sorted(found, key=lambda each: (each.parent.name, int(each.stem)))


def _schema(folder: Path, event_type: str, version: int) -> Path:
    return folder / event_type / f"{version}.json"


def _samples(folder: Path, event_type: str, version: int) -> Path:
    return folder / event_type / f"{version}{_SAMPLES}"


def _read(folder: Path, event_type: str, version: int) -> Frozen:
    samples = _samples(folder, event_type, version)
    schema = _json(_schema(folder, event_type, version), dict)
    return Frozen(event_type, version, schema, _json(samples, list) if samples.exists() else [])


def _json(file: Path, kind: type) -> Any:
    try:
        content = json.loads(file.read_bytes())
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"{file} cannot be read ({type(error).__name__}): restore it from git.") from None
    if not isinstance(content, kind):
        raise ConfigurationError(f"{file} does not hold what it should: restore it from git.")
    return content


def _write(file: Path, text: str) -> None:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(f"{file} cannot be written: {error.strerror}.") from None
