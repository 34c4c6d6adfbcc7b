"""What becomes of an event at one consumer, in words: how it is handled, and the whole road of trouble."""

from collections.abc import Iterable, Iterator
from itertools import groupby

from infra.documents.words import duration
from infra.pausing import PROBE_EVERY
from infra.retrying import MISTAKES, Retry, Rule
from infra.subscriptions import Subscription

#: Classes that a line names at most.
_NAMED = 4


def road(subscription: Subscription) -> list[str]:
    """Its way from the queue to the dead letters, a sentence each."""
    handling = _handling if subscription.job is None else _working
    return [*handling(subscription), *_trouble(subscription), *_end(subscription)]


def _working(subscription: Subscription) -> Iterator[str]:
    """Of a kind of jobs: its events are requests, and what is handled is the job."""
    lane = f"up to {subscription.concurrency} at once in each process for jobs"
    yield "Parameters that do not fit (a rule over two of them, say) fail the job at once; no other try follows."
    yield f"Its job is done: {lane}; after {duration(subscription.timeout)} of work it is interrupted: a failure."
    yield "A job that was cancelled meanwhile ends without being done; one that another process works on is left to it."
    yield "After a crash or restart, and each 15 min, it goes on from its last checkpoint, which costs no try."


def _handling(subscription: Subscription) -> Iterator[str]:
    lane = f"up to {subscription.concurrency} at once in each worker process"
    if subscription.batch:
        size, wait = subscription.batch.size, duration(subscription.batch.wait)
        lane = f"up to {size} in one transaction, once the first has waited {wait}; when one fails they are halved"
    if subscription.where is not None:
        yield "Its guard (where=) is asked first; an event that it says no to is settled as filtered."
    yield f"It is handled: {lane}; after {duration(subscription.timeout)} a handler is interrupted."
    if subscription.ordered:
        yield "Events of one subject come in order, so a later one waits until this one has ended; other subjects flow."


def _trouble(subscription: Subscription) -> Iterator[str]:
    retry = subscription.retry
    for rule in retry.rules:
        yield _of_rule(rule)
    yield "Refused for good (EffectRefused, SMTP 5xx): not tried again."
    mistakes = _listed(kind.__name__ for kind in MISTAKES)
    yield f"A mistake in the code or the data ({mistakes}): {_again(retry.delays[:1])}."
    yield f"Any other failure: {_again(retry.delays)}."
    if retry.delays:
        yield f"RetryAfter(seconds): again when it says, within an hour, {_tries(len(retry.delays))} in all."
    if retry.max_age is not None:
        yield f"An event that is older than {duration(retry.max_age)} is not tried again, whatever failed."
    if subscription.pause_after is not None:
        yield (
            f"After {subscription.pause_after} failures in a row it pauses itself, and tries one message each "
            f"{PROBE_EVERY:g} s until that goes well."
        )


def _end(subscription: Subscription) -> Iterator[str]:
    yield (
        "What is given up is a dead letter, with its reason: "
        f"./tidings dead list --consumer {subscription.consumer}, and ./tidings dead replay when the cause is mended."
    )


def tries(retry: Retry) -> str:
    """How often, and over what time, in a few words."""
    rules = f" and {len(retry.rules)} of its own" if retry.rules else ""
    if not retry.delays:
        return f"1{rules}"
    return f"{len(retry.delays) + 1} in {_about(sum(retry.delays))}{rules}"


def _of_rule(rule: Rule) -> str:
    classes = _listed(kind.__name__ for kind in rule.classes)
    condition = " if its condition says so" if rule.when is not None else ""
    return f"{classes}{condition}: {_again(rule.delays)}."


def _again(delays: Iterable[int]) -> str:
    spoken = []
    for delay, same in groupby(delays):
        times = len(list(same))
        spoken.append(f"{duration(delay)} ({times} times)" if times > 1 else duration(delay))
    return f"again after {', '.join(spoken)}" if spoken else "not tried again"


def _tries(further: int) -> str:
    return f"{further + 1} tries"


def _listed(names: Iterable[str]) -> str:
    found = list(names)
    return ", ".join(found[:_NAMED]) + (" …" if len(found) > _NAMED else "")


def _about(seconds: float) -> str:
    """A time, roundly: 73 min, not 1 h 12 min 35 s."""
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{round(seconds / size)} {unit}"
    return f"{seconds:g} s"
