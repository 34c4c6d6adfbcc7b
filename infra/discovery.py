"""Finding consumer modules: each module of the given packages is imported, and what it subscribes to is recorded."""

import pkgutil
from collections.abc import Iterable
from dataclasses import dataclass, field
from importlib import import_module

from infra.subscriptions import forget, recorded


@dataclass(frozen=True, slots=True)
class Found:
    """What a look through the packages gave."""

    modules: list[str] = field(default_factory=list)
    #: Module, with its package -> why it is not used.
    ignored: dict[str, str] = field(default_factory=dict)


def discover(packages: Iterable[str]) -> Found:
    """Import every module of these packages; one that fails, or subscribes to nothing, is named and passed over."""
    found = Found()
    for package in packages:
        _look_through(package, found)
    return found


def _look_through(package: str, found: Found) -> None:
    try:
        folders = list(import_module(package).__path__)
    except Exception as error:  # noqa: BLE001  # whatever is wrong with it, the other consumers go on
        found.ignored[package] = f"{type(error).__name__}: {error}"
        return
    for module in pkgutil.iter_modules(folders):
        if not module.name.startswith("_"):
            _take(f"{package}.{module.name}", found)


def _take(module: str, found: Found) -> None:
    try:
        import_module(module)
    except (Exception, SystemExit) as error:  # noqa: BLE001  # whatever is wrong in it, the other consumers go on
        found.ignored[module] = f"{type(error).__name__}: {error}"
        for consumer in _consumers_of(module):  # a module that is loaded by half must not be given events
            forget(consumer)
        return
    if _consumers_of(module):
        found.modules.append(module)
    else:
        found.ignored[module] = "it subscribes to nothing"


def _consumers_of(module: str) -> list[str]:
    return [each.consumer for each in recorded() if each.handler.__module__ == module]
