"""The worker threads of a process: started when there is work for them, ended when there has been none for a while.

Fifty consumers may have two hundred deliveries in flight, and hardly ever do. Dramatiq's Worker starts as many threads
as it may ever need, each of which wakes up once a second to see whether it must stop. Here they are of its own kind, in
its own list, so that it stops and joins them as if it had started them.
"""

import threading
import time
from queue import Empty

from dramatiq.worker import Worker, WorkerThread

#: Seconds without work after which a thread ends, but for the spare ones.
IDLE = 10.0
#: Threads that stay, so that the next message need not wait for one to start.
SPARE = 1


class Crew:
    """As many threads as there are messages in hand, up to the most that the lanes may hand on together."""

    def __init__(self) -> None:
        self._worker: Worker | None = None
        self._lock = threading.Lock()
        self._in_hand = 0
        self._closed = False

    def take_over(self, worker: Worker) -> None:
        """Start this worker's threads in its place; before it boots."""
        self._worker, worker.worker_threads = worker, 0

    def begin(self) -> None:
        """Start the threads that stay; when it boots."""
        with self._lock:
            self._grow(SPARE)

    def give(self) -> None:
        """A message is put into the worker's queue: there must be a thread that is free for it."""
        with self._lock:
            self._in_hand += 1
            self._grow(self._in_hand)

    def take_back(self) -> None:
        """A thread is through with a message."""
        with self._lock:
            self._in_hand -= 1

    def dismiss(self, member: WorkerThread) -> bool:
        """Let a thread that found no work for a while go, unless it may be needed; from then on it must end."""
        with self._lock:
            if self._worker is None or self._closed or len(self._worker.workers) <= max(self._in_hand, SPARE):
                return False
            self._worker.workers.remove(member)
            return True

    def close(self) -> None:
        """Start and end no thread from now on: the worker stops and joins those that there are."""
        with self._lock:
            self._closed = True

    def _grow(self, size: int) -> None:
        """Have at least so many threads; the lock is held."""
        worker = self._worker
        while worker is not None and not self._closed and len(worker.workers) < size:
            member = _Member(self, worker)
            member.start()  # before it is in the list: what is there and does not live is taken for dead
            worker.workers.append(member)


class _Member(WorkerThread):
    """Dramatiq's worker thread, which may go when nothing is to do."""

    def __init__(self, crew: Crew, worker: Worker) -> None:
        super().__init__(
            broker=worker.broker,
            consumers=worker.consumers,
            work_queue=worker.work_queue,
            worker_timeout=worker.worker_timeout,
        )
        self.running = True  # not in `run`: it may be told to stop before it has begun to run
        self._crew = crew

    def run(self) -> None:
        self.broker.emit_after("worker_thread_boot", self)
        idle_since = time.monotonic()
        while self.running:
            try:
                item = self.work_queue.get(timeout=self.timeout)
            except Empty:
                if time.monotonic() - idle_since > IDLE and self._crew.dismiss(self):
                    break
                continue
            self.process_message(item.message)
            idle_since = time.monotonic()
        self.broker.emit_before("worker_thread_shutdown", self)
