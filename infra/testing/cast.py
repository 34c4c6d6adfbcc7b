"""Who takes part in a test: the consumers that it names, or else all that are found."""

from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any, TypeVar

from infra import discovery
from infra.jobs.kinds import job
from infra.subscriptions import Handler, Subscription, forget, recorded, subscribe
from infra.testing.told import KitError

H = TypeVar("H", bound=Handler)
#: Where consumers are looked for when a test names none.
_PACKAGE = "consumers"


class Cast:
    """Collects them; `changed` is called when there are others than before."""

    def __init__(self, changed: Callable[[], None], packages: Sequence[str] = ()) -> None:
        """`packages` may hold consumers, too."""
        self._packages = (_PACKAGE, *packages)
        self._changed = changed
        self._named: dict[str, Subscription] | None = None
        self._all: dict[str, Subscription] | None = None
        #: Modules that cannot be used -> why.
        self._ignored: dict[str, str] = {}

    @property
    def members(self) -> dict[str, Subscription]:
        """By name."""
        if self._named is not None:
            return self._named
        if self._all is None:
            found = discovery.discover(self._packages)
            self._ignored = found.ignored
            self._all = {each.consumer: each for each in recorded() if discovery.module_of(each) in found.modules}
        return self._all

    def use(self, module: str) -> None:
        """Have the consumers of a module take part."""
        try:
            import_module(module)
        except Exception as error:
            raise KitError(f"kit.use: {module} cannot be imported: {type(error).__name__}: {error}.") from error
        found = [each for each in recorded() if each.handler.__module__ == module]
        if not found:
            raise KitError(f"kit.use: {module} subscribes to nothing.")
        self._add(*found)

    def subscribe(self, consumer: str, options: dict[str, Any]) -> Callable[[H], H]:
        """Record a handler of the test, for this test alone."""
        return self._alone(consumer, subscribe(consumer, **options))

    def kind(self, name: str, options: dict[str, Any]) -> Callable[[H], H]:
        """Record a kind of jobs of the test, for this test alone."""
        return self._alone(name, job(name, **options))

    def _alone(self, consumer: str, enter: Callable[[H], H]) -> Callable[[H], H]:
        def record(handler: H) -> H:
            enter(handler)
            (made,) = [each for each in recorded() if each.consumer == consumer]
            forget(consumer)
            self._add(made)
            return handler

        return record

    def get(self, consumer: str) -> Subscription:
        """One of them.

        Raises:
            KitError: there is none of this name.
        """
        try:
            return self.members[consumer]
        except KeyError:
            names = ", ".join(sorted(self.members)) or "nobody"
            ignored = "".join(f" {module} is ignored: {reason}." for module, reason in self._ignored.items())
            raise KitError(f"No consumer {consumer!r} takes part in this test, but {names}.{ignored}") from None

    def _add(self, *subscriptions: Subscription) -> None:
        self._named = {**(self._named or {}), **{each.consumer: each for each in subscriptions}}
        self._changed()
