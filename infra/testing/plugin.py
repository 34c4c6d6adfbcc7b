"""The pytest plugin: the fixture `kit`, and the whole story where a test with it fails."""

from collections.abc import Generator, Iterator

import pytest

from infra.testing.kit import Kit
from infra.testing.told import State

#: Tries that are shown.
_MOST_SHOWN = 20


@pytest.fixture
def kit() -> Iterator[Kit]:
    """A bus of the test's own, in memory; all of it is gone after the test."""
    made = Kit()
    made.start()
    try:
        yield made
    finally:
        made.stop()


def pytest_assertrepr_compare(op: str, left: object, right: object) -> list[str] | None:
    """An assertion about a state that fails says why it is another one."""
    stories = [line for side in (left, right) if isinstance(side, State) for line in side.story.splitlines()]
    return [f"{str(left)!r} {op} {str(right)!r}", "", *stories] if stories else None


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Say what happened in the kit of a test that failed."""
    report = yield
    made = getattr(item, "funcargs", {}).get("kit")
    if report.when == "call" and report.failed and isinstance(made, Kit) and made.told:
        shown = "\n".join(map(repr, made.told[-_MOST_SHOWN:]))
        report.sections.append(("What happened in the kit", shown))
    return report
