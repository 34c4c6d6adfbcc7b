"""Where each consumer stands, as metrics of the process that sweeps."""

import math
import time
from collections.abc import Mapping
from functools import partial

from infra import metrics
from infra.database.positions import Standing

#: Seconds after which figures are not shown any more: another process sweeps now.
_STALE = 60.0
_GAUGES = {
    "settled": metrics.SETTLED_POSITION,
    "lag_events": metrics.LAG_EVENTS,
    "lag_seconds": metrics.LAG_SECONDS,
    "resent": metrics.RESENT,
    "unsettled": metrics.UNSETTLED,
}


class Standings:
    """The figures of the last pass; a scrape asks nothing of the database."""

    def __init__(self) -> None:
        self._found: Mapping[str, Standing] = {}
        self._at = 0.0
        self._known: set[str] = set()

    def show(self, found: Mapping[str, Standing]) -> None:
        """These are the figures from now on."""
        self._found, self._at = found, time.monotonic()
        for consumer in found.keys() - self._known:
            self._known.add(consumer)
            for figure, gauge in _GAUGES.items():
                gauge.labels(consumer).set_function(partial(self._figure, consumer, figure))

    def _figure(self, consumer: str, figure: str) -> float:
        standing = self._found.get(consumer)
        if standing is None or time.monotonic() - self._at > _STALE:
            return math.nan
        return float(getattr(standing, figure))
