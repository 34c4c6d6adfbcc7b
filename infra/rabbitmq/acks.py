"""Which delivery tags of one channel to acknowledge next, in as few frames as possible."""

from collections import deque
from collections.abc import Iterable


class Acks:
    """The tags of one channel in order: the finished prefix goes as one ack with `multiple`, stragglers one by one.

    `finished` may be called from any thread; everything else belongs to the IO thread.
    """

    def __init__(self) -> None:
        self._open: deque[int] = deque()
        self._handed_in: deque[int] = deque()
        self._finished: set[int] = set()

    def delivered(self, tag: int) -> None:
        """Remember a tag; the broker gives them in ascending order."""
        self._open.append(tag)

    def finished(self, tag: int) -> None:
        """Hand a tag in as worth an ack: an append, so the worker's thread never waits."""
        self._handed_in.append(tag)

    def forget(self, tag: int) -> None:
        """Leave a tag out from now on: it was given back, and an ack that names it last would close the channel."""
        self._open.remove(tag)

    def forget_all(self, tags: Iterable[int]) -> None:
        """Leave out many at once."""
        left_out = set(tags)
        self._open = deque(tag for tag in self._open if tag not in left_out)

    def prefix(self) -> int | None:
        """The greatest tag up to which everything is finished since the last call, None if there is none."""
        while self._handed_in:
            self._finished.add(self._handed_in.popleft())
        last = None
        while self._open and self._open[0] in self._finished:
            last = self._open.popleft()
            self._finished.discard(last)
        return last

    def stragglers(self) -> list[int]:
        """The finished tags behind one that is not: acked one by one, or a slow delivery would use up the prefetch."""
        late = [tag for tag in self._open if tag in self._finished]
        self._open = deque(tag for tag in self._open if tag not in self._finished)
        self._finished.clear()
        return late

    @property
    def has_stragglers(self) -> bool:
        """Whether finished tags wait behind one that is not."""
        return bool(self._finished)
