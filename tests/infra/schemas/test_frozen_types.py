"""The project's own event types: all are frozen as they are, and all that was frozen can be read."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.schemas import checking, freezing, frozen, making, sampling
from infra.schemas.frozen import Frozen

FROZEN = frozen.every()
NAMES = [f"{each.type}/{each.version}" for each in FROZEN]


def test_every_class_is_frozen_and_every_frozen_version_is_read() -> None:
    """If this fails, `./tidings events check` says the same, and what to do."""
    assert [] == checking.problems(freezing.owned())


@pytest.mark.parametrize("version", FROZEN, ids=NAMES)
def test_samples_become_the_newest_class_without_losing_a_field(version: Frozen) -> None:
    """What a sample says is in the event that is made of it; another spelling of a time is the same time."""
    for data in version.samples:
        event = sampling.read(version.type, version.version, data)
        assert data.keys() <= json.loads(event.model_dump_json()).keys()


@pytest.mark.parametrize("version", FROZEN, ids=NAMES)
@given(seed=st.integers())
def test_whatever_a_frozen_schema_allows_is_read(version: Frozen, seed: int) -> None:
    """Programs in other languages write by the schema, and not by our samples."""
    assert None is sampling.problem(version.type, version.version, making.any_of(version.schema, seed))


def test_there_are_no_other_files_beside_them() -> None:
    """A file with another name is read by nobody."""
    expected = {
        frozen.FOLDER / each.type / f"{each.version}{kind}" for each in FROZEN for kind in (".json", ".samples.json")
    }
    assert expected == {each for each in Path(frozen.FOLDER).rglob("*") if each.is_file()}
