"""How often one caller may ask, and how much at a time."""

import math
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter

from query_service.access.caller import Caller
from query_service.problems import Problem


class RateLimit:
    """Counts the requests of each actor of a tenant over the last minute, in this process."""

    def __init__(self, per_minute: int) -> None:
        self._limiter = MovingWindowRateLimiter(MemoryStorage())
        self._allowed = RateLimitItemPerMinute(per_minute)

    def count(self, caller: Caller) -> None:
        """Count one request. Raises Problem (429), with when to come back, for one too many."""
        if self._limiter.hit(self._allowed, caller.tenant, caller.actor):
            return
        oldest = self._limiter.get_window_stats(self._allowed, caller.tenant, caller.actor)
        wait = max(1, math.ceil(oldest.reset_time - time.time()))
        raise Problem.of(
            "too-many-requests",
            f"{self._allowed.amount} requests a minute are allowed; try again in {wait} s.",
            headers={"Retry-After": str(wait)},
        )


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
