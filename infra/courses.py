"""How the consumers fare in this process: what counts as a failure, how many run on, and how a probe ended."""

import threading

from infra.outcomes import Done, Outcome, Park, RetryLater

#: Reasons to park that come from the handler; all others are the message's own.
_HANDLERS = frozenset({"handler-error", "too-old"})


class Course:
    """How one consumer fares in this process; told by its worker threads, read by the one that looks."""

    def __init__(self, consumer: str, limit: int | None) -> None:
        self.consumer = consumer
        #: Failures ran on, and that is not written down yet.
        self.wants_pause = False
        #: Who paused it, as of the last look; empty while it runs.
        self.by = ""
        #: The probe of the pause is ours, and how it ended: None as long as it has not.
        self.probing = False
        self.went_well: bool | None = None
        self._limit = limit
        self._failures = 0
        self._last_error = ""
        self._lock = threading.Lock()

    @property
    def reason(self) -> str:
        """Why it pauses; of the last error only the class, for its text may quote an event."""
        return f"{self._limit} failures in a row, the last of them {self._last_error}"

    def note(self, failed: bool, error: str) -> bool:
        """Count an outcome; whether the consumer must take nothing more for now."""
        with self._lock:
            if self.probing:
                self.went_well = not failed
                return True
            self._failures = self._failures + 1 if failed else 0
            if self._limit is None or self._failures < self._limit or self.by:
                return False
            self._last_error, self.wants_pause = error, True
            return True

    def begin_probe(self) -> None:
        """What ends from now on is the message of the probe."""
        with self._lock:
            self.probing, self.went_well = True, None

    def reset(self) -> None:
        """It runs again, and nothing counts that was before."""
        with self._lock:
            self.by, self.probing, self._failures = "", False, 0


def failed(outcome: Outcome) -> bool | None:
    """Whether the consumer failed; None when the outcome says nothing about it.

    An event that has failed before and fails again says something of itself: a hundred bad ones among many good ones
    come back from their tier together, and must not stop the good ones.
    """
    match outcome:
        case Done():
            return None if outcome.filtered else False
        case RetryLater():
            return True if outcome.attempt == 1 else None
        case Park() if outcome.reason in _HANDLERS:
            return True if outcome.attempt == 1 else None
    return None


def class_of(outcome: Outcome) -> str:
    """Class of the exception that an outcome came from."""
    return (outcome.exception if isinstance(outcome, RetryLater | Park) else None) or "of an unknown class"
