"""Finding consumer modules: each module of the given packages is imported, and what it subscribes to is recorded."""

import logging
import pkgutil
import sys
import time
import traceback
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from threading import Timer

from infra.evidence import gather, one_line
from infra.subscriptions import Subscription, forget, recorded

# The standard library's: a command that has no logging set up must not find this line in its JSON.
_log = logging.getLogger(__name__)
#: Seconds after which an import counts as slow: every start of every program waits for it.
SLOW = 2.0
_NOTHING = "it subscribes to nothing: is there an @subscribe(…) above its handler?"


@dataclass(frozen=True, slots=True)
class Found:
    """What a look through the packages gave."""

    modules: list[str] = field(default_factory=list)
    #: Module, with its package -> why it is not used: `consumers/sms.py:12: ModuleNotFoundError: …`.
    ignored: dict[str, str] = field(default_factory=dict)
    #: Module -> seconds that its import took, of those that are slow.
    slow: dict[str, float] = field(default_factory=dict)

    @property
    def broken(self) -> frozenset[str]:
        """Modules of which nobody knows what they would subscribe."""
        return frozenset(module for module, reason in self.ignored.items() if reason != _NOTHING)


def discover(packages: Iterable[str]) -> Found:
    """Import every module of these packages; one that fails, or subscribes to nothing, is named and passed over."""
    found = Found()
    for package in packages:
        _look_through(package, found)
    return found


def module_of(subscription: Subscription) -> str:
    """The module that subscribed, which need not be the one that its handler was written in."""
    return _owners.get(subscription.consumer, subscription.handler.__module__)


#: Consumer -> the module whose import recorded it.
_owners: dict[str, str] = {}


def _look_through(package: str, found: Found) -> None:
    folders: list[str] = []
    try:
        folders = list(import_module(package).__path__)
        modules = [each.name for each in pkgutil.iter_modules(folders) if not each.name.startswith("_")]
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001  # whatever is wrong with it, the other consumers go on
        found.ignored[package] = _reason(error, folders)
        return
    for name in modules:
        _take(f"{package}.{name}", folders, found)


def _take(module: str, folders: Sequence[str], found: Found) -> None:
    before = set(_names())
    try:
        with _timed(module, found):
            import_module(module)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001  # whatever is wrong in it, the other consumers go on
        found.ignored[module] = _reason(error, folders)
        _forget_what_is_half_loaded(before)
        return
    for each in recorded():
        if each.consumer not in before and not _is_in(each.handler.__module__, folders):
            _owners[each.consumer] = module  # its handler comes from elsewhere: a library of ours, a partial function
    if any(module_of(each) == module for each in recorded()):
        found.modules.append(module)
    else:
        found.ignored[module] = _NOTHING


def _names() -> list[str]:
    return [each.consumer for each in recorded()]


def _forget_what_is_half_loaded(before: set[str]) -> None:
    """A module whose import failed is gone, and its handler may need what the rest of it was about to make."""
    for each in recorded():
        if each.consumer not in before and each.handler.__module__ not in sys.modules:
            forget(each.consumer)


def _is_in(module: str, folders: Sequence[str]) -> bool:
    file = getattr(sys.modules.get(module), "__file__", None) or ""
    return any(Path(folder) in Path(file).parents for folder in folders)


@contextmanager
def _timed(module: str, found: Found) -> Iterator[None]:
    """Note an import that takes long; one that does not end at all is named in the log while it hangs."""
    began = time.monotonic()
    alarm = Timer(SLOW, _log.warning, ("the import of %s takes long, and all others wait for it", module))
    alarm.daemon = True
    alarm.start()
    try:
        yield
    finally:
        alarm.cancel()
        if (took := time.monotonic() - began) >= SLOW:
            found.slow[module] = round(took, 1)


def _reason(error: BaseException, folders: Sequence[str]) -> str:
    """`consumers/sms.py:12: ModuleNotFoundError: No module named 'twilio'`."""
    said = f"{type(error).__name__}: {error.msg}" if isinstance(error, SyntaxError) else gather(error, "").text
    return _place(error, folders) + one_line(said)


def _place(error: BaseException, folders: Sequence[str]) -> str:
    """Where to look: the wrong line itself, else the last line of these packages that led to it."""
    places = [(frame.filename, frame.lineno) for frame in traceback.extract_tb(error.__traceback__)]
    ours = [place for place in places if any(Path(folder) in Path(place[0]).parents for folder in folders)]
    if isinstance(error, SyntaxError) and error.filename:
        ours.append((error.filename, error.lineno))
    if not ours:
        return ""
    file, line = ours[-1]
    return f"{_short(Path(file))}:{line}: "


def _short(file: Path) -> Path:
    """As one names it in the project's folder, where there is one."""
    roots = [Path(root).resolve() for root in sys.path if root] + [Path.cwd()]
    inside = [file.relative_to(root) for root in roots if root in file.parents]
    return min(inside, key=lambda path: len(path.parts), default=file)
