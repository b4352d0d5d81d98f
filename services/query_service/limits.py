"""How often one caller may ask, and how much at a time."""

import math
import time
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import contextmanager

from cachetools import LRUCache

from query_service.access.caller import Caller
from query_service.problems import Problem

MINUTE = 60.0
REMEMBERED_CALLERS = 10_000


class RateLimit:
    """Bounds the requests of each actor of a tenant in any minute, in this process.

    A moving window: of the last requests, as many as a minute may have, the first must be a minute ago.
    """

    def __init__(self, per_minute: int) -> None:
        self._per_minute = per_minute
        self._times: LRUCache[tuple[str, str], deque[float]] = LRUCache(REMEMBERED_CALLERS)

    def count(self, caller: Caller) -> None:
        """Count one request. Raises Problem (429), with when to come back, for one too many."""
        now = time.monotonic()
        who = (caller.tenant, caller.actor)
        times = self._times.get(who)
        if times is None:
            times = self._times[who] = deque(maxlen=self._per_minute)
        if len(times) == self._per_minute and (left := times[0] + MINUTE - now) > 0:
            wait = math.ceil(left)
            raise Problem.of(
                "too-many-requests",
                f"{self._per_minute} requests a minute are allowed; try again in {wait} s.",
                headers={"Retry-After": str(wait)},
            )
        times.append(now)


class StreamLimit:
    """Counts what is streamed at this moment, by tenant."""

    def __init__(self, per_tenant: int) -> None:
        self._per_tenant = per_tenant
        self._open: Counter[str] = Counter()

    @contextmanager
    def hold(self, tenant: str) -> Iterator[None]:
        """Count one stream while the body runs. Raises Problem (429) for one too many."""
        if self._open[tenant] >= self._per_tenant:
            raise Problem.of(
                "too-many-streams",
                f"{self._per_tenant} streams at a time are allowed to a tenant.",
                headers={"Retry-After": "5"},
            )
        self._open[tenant] += 1
        try:
            yield
        finally:
            self._open[tenant] -= 1
            if not self._open[tenant]:
                del self._open[tenant]
