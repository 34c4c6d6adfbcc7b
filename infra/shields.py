"""Stretches of code that a time limit must not interrupt: what lies between taking a lock and giving it back.

The interrupt is an asynchronous exception, which Python raises between two byte codes, so no `try` is early enough to
see it. A thread puts its shield up instead, and whoever interrupts asks first.
"""

from collections.abc import Callable
from contextlib import suppress
from threading import RLock, get_ident
from typing import Self

#: Held while an interrupt is sent, and while a shield goes up: so none is sent to a thread whose shield is up.
_sending = RLock()
_shielded: set[int] = set()


class Shield:
    """`with Shield():` lets no interrupt through; one that falls due meanwhile comes after it.

    Everything inside needs an end of its own, since nobody can end it.
    """

    __slots__ = ("_outermost",)

    def __enter__(self) -> Self:
        me = get_ident()
        self._outermost = me not in _shielded
        if self._outermost:
            try:
                _put_up(me)
            except BaseException:
                _shielded.discard(me)
                raise
        return self

    def __exit__(self, *_: object) -> None:
        if self._outermost:
            _shielded.discard(get_ident())

    def lowered(self) -> "Lowered":
        """A stretch inside this one that may be interrupted, unless there is a further shield around both."""
        return Lowered(self._outermost)


class Lowered:
    """Takes a shield down, and puts it up again."""

    __slots__ = ("_outermost",)

    def __init__(self, outermost: bool) -> None:
        self._outermost = outermost

    def __enter__(self) -> None:
        if self._outermost:
            _shielded.discard(get_ident())

    def __exit__(self, *_: object) -> None:
        if self._outermost:
            me = get_ident()
            try:
                _put_up(me)
            except BaseException:
                _shielded.add(me)  # what raised was the interrupt itself, and there is one only
                raise


def unless_shielded(thread: int, interrupt: Callable[[], None]) -> bool:
    """Interrupt a thread now; False, and nothing is done, when its shield is up."""
    with _sending:
        if thread in _shielded:
            return False
        interrupt()
        return True


def _put_up(me: int) -> None:
    try:
        with _sending:
            _shielded.add(me)
        _let_come()
    except BaseException:
        with suppress(RuntimeError):  # not ours any more, as it should be: some Pythons interrupt before `with` is in
            _sending.release()
        raise


def _let_come() -> None:
    """Python raises what was sent before, at the latest, at the call of a function."""
