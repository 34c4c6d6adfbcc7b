"""Rules of the shield: an interrupt comes before it or after it, never inside, and is never lost."""

import ctypes
import threading
import time

import pytest

from infra.shields import Shield, unless_shielded


class Interrupt(BaseException):
    """What is raised in another thread."""


def interrupt(thread: int) -> bool:
    def send() -> None:
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), ctypes.py_object(Interrupt))

    return unless_shielded(thread, send)


def me() -> int:
    return threading.get_ident()


def pass_by() -> None:
    """Python raises what was sent at the latest here."""


def test_no_interrupt_is_sent_to_a_thread_whose_shield_is_up() -> None:
    with Shield():
        assert not interrupt(me())
    with pytest.raises(Interrupt):
        _interrupt_myself()


def _interrupt_myself() -> None:
    interrupt(me())
    pass_by()


def test_a_shield_inside_a_shield_changes_nothing() -> None:
    with Shield():
        with Shield() as inner, inner.lowered():
            assert not interrupt(me())
        assert not interrupt(me())


def test_a_lowered_shield_lets_the_interrupt_through_and_is_up_for_what_follows() -> None:
    after = []

    def work() -> None:
        with Shield() as shield:
            try:
                with shield.lowered():
                    _interrupt_myself()
            finally:
                after.append(interrupt(me()))

    with pytest.raises(Interrupt):
        work()
    assert [False] == after


class Target:
    """Goes in and out of a shield for ever; notes what came where it must not."""

    def __init__(self, seconds: float) -> None:
        self.end = time.monotonic() + seconds
        self.came = self.inside = 0
        self.ident = 0

    def run(self) -> None:
        with Shield() as shield:
            self.ident = me()
            while time.monotonic() < self.end:
                try:
                    self._once(shield)
                except Interrupt:
                    self.came += 1

    def _once(self, shield: Shield) -> None:
        self._guarded()
        with shield.lowered():
            pass_by()
            with Shield():
                self._guarded()
        self._guarded()

    def _guarded(self) -> None:
        try:
            for _ in range(3):
                pass_by()
        except Interrupt:
            self.inside += 1
            raise


def test_interrupts_fired_all_the_time_never_hit_what_is_inside() -> None:
    target = Target(1.0)
    thread = threading.Thread(target=target.run)
    thread.start()
    while time.monotonic() < target.end - 0.2:
        came = target.came
        if target.ident and interrupt(target.ident):
            _wait_until_came(target, came)
    thread.join(5)
    assert 0 == target.inside
    assert target.came > 3


def _wait_until_came(target: Target, before: int) -> None:
    """One at a time, as the time limit does it."""
    while target.came == before and time.monotonic() < target.end:
        time.sleep(0)
