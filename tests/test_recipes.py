"""The recipes of the pages: each is taken from its page as it stands there, and its tests are run."""

import importlib.util
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from types import ModuleType
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import insert, select

from events import clock, registry, users
from events.envelope import announce, event_types
from infra import effects
from infra.adding import signatures
from infra.database.tables import Activity, table
from infra.discovery import module_of
from infra.fitting import DoesNotFit
from infra.subscriptions import forget, recorded
from infra.testing import Kit

DOCS = Path(__file__).parents[1] / "docs"
#: The pages, and how many recipes each has.
PAGES = {"consumers.md": 10, "jobs.md": 8}
#: The screens of all options, and the consumer or kind that each makes.
SCREENS = {"consumers.md": "sms", "jobs.md": "sales-report"}
_RECIPE = re.compile(r"^### (\d+\. .+?)$(.*?)(?=^### |\Z)", re.MULTILINE | re.DOTALL)
_BLOCK = re.compile(r"```python\n# (\S+\.py)\n(.*?)```", re.DOTALL)
#: What the tests of the page have imported.
GIVEN = {
    "Activity": Activity, "DayEnded": clock.DayEnded, "Kit": Kit, "MinutePassed": clock.MinutePassed,
    "DoesNotFit": DoesNotFit, "UserRegistered": users.UserRegistered,
    "UserWeekPassed": users.UserWeekPassed, "announce": announce, "date": date, "insert": insert, "pytest": pytest,
    "select": select, "table": table, "uuid4": uuid4,
}  # fmt: skip


@dataclass(frozen=True)
class Recipe:
    """One of a page, with its files by path."""

    page: str
    title: str
    files: Mapping[str, str] = field(repr=False)


def text_of(page: str) -> str:
    return (DOCS / page).read_text()


def recipes(page: str) -> list[Recipe]:
    return [Recipe(page, title, dict(_BLOCK.findall(text))) for title, text in _RECIPE.findall(text_of(page))]


def cases(recipe: Recipe, values: Mapping[str, Any]) -> Iterator[tuple[Callable[..., None], dict[str, Any]]]:
    """Each test of it with each set of its parameters."""
    for name, test in values.items():
        if not name.startswith("test_"):
            continue
        (marked,) = getattr(test, "pytestmark", None) or (None,)
        if marked is None:
            yield test, {}
        else:
            for row in marked.args[1]:
                yield test, dict(zip(marked.args[0], row, strict=True))


@pytest.fixture
def loaded(tmp_path: Path) -> Iterator[Callable[[str, str], ModuleType]]:
    """Loads a file of a recipe as the module that it would be; all that it recorded is forgotten afterwards."""
    before = {each.consumer for each in recorded()}, set(event_types()), set(effects.performers())
    made: list[str] = []

    def load(path: str, text: str) -> ModuleType:
        file = tmp_path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        name = path.removesuffix(".py").replace("/", ".")
        spec = importlib.util.spec_from_file_location(name, file)
        assert spec is not None
        assert spec.loader is not None
        assert name not in sys.modules
        made.append(name)
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
        return sys.modules[name]

    yield load
    for consumer in {each.consumer for each in recorded()} - before[0]:
        forget(consumer)
    for event_type in set(event_types()) - before[1]:
        registry.forget(event_type)
    for kind in set(effects.performers()) - before[2]:
        del effects._performers[kind]
    for name in made:
        del sys.modules[name]


@pytest.mark.parametrize("page", PAGES)
def test_they_are_numbered(page: str) -> None:
    assert list(range(1, PAGES[page] + 1)) == [int(each.title.split(".")[0]) for each in recipes(page)]


@pytest.mark.parametrize(
    "recipe", [each for page in PAGES for each in recipes(page)], ids=lambda recipe: f"{recipe.page} {recipe.title}"
)
def test_it_does_what_it_says(recipe: Recipe, loaded: Callable[[str, str], ModuleType]) -> None:
    modules = [loaded(path, text).__name__ for path, text in recipe.files.items() if not path.startswith("tests/")]
    consuming = [name for name in modules if name.startswith("consumers.")]
    (test,) = [text for path, text in recipe.files.items() if path.startswith("tests/")]
    own = [each for each in recorded() if module_of(each) in consuming]
    assert [] == [problem for each in own for problem in signatures.problems(each)]
    values = dict(GIVEN)
    exec(compile(test, recipe.title, "exec"), values)  # a page of ours
    ran = [_run(case, given, consuming) for case, given in cases(recipe, values)]
    assert ran


def _run(test: Callable[..., None], given: Mapping[str, Any], modules: list[str]) -> str:
    """One test with a kit of its own."""
    kit = Kit()
    kit.start()
    try:
        kit.use(*modules)
        test(kit=kit, **given)
    finally:
        kit.stop()
    return test.__name__


@pytest.mark.parametrize("page", SCREENS)
def test_the_screen_of_all_options_is_one_that_python_takes(page: str) -> None:
    (screen,) = re.findall(r"## All of it on one screen\n```python\n(.*?)```", text_of(page), re.DOTALL)
    values: dict[str, Any] = {}
    exec(compile(screen, "screen", "exec"), values)
    try:
        (made,) = [each for each in recorded() if each.consumer == SCREENS[page]]
        assert [] == signatures.problems(made)
    finally:
        forget(SCREENS[page])
