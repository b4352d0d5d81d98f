"""How often one caller may ask, and how much one tenant may hold of what all share."""

import asyncio
import math
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

from cachetools import LRUCache

from query_service.problems import Problem

SECOND = 10**9
MINUTE = 60 * SECOND
REMEMBERED_CALLERS = 100_000
# How long whoever comes while the share is taken waits for it.
SHARE_TIMEOUT = 5.0
_REFUSAL = "Other questions of the tenant take all that one tenant may have of the database; try again."


class RateLimit:
    """Bounds the requests of each actor of a tenant, in this process.

    A caller who has rested may ask as often as a minute allows at once, and then again as the minute passes:
    the generic cell rate algorithm (ITU-T I.371, in its virtual scheduling form), which keeps of a caller one
    time. Who has rested is as one never seen, and those who have not asked for longest are forgotten first.
    """

    def __init__(self, per_minute: int) -> None:
        self._per_minute = per_minute
        self._apart = MINUTE // per_minute
        # In nanoseconds: when each caller's requests would have ended, had they come evenly.
        self._even_until: LRUCache[tuple[str, str], int] = LRUCache(REMEMBERED_CALLERS)

    def count(self, tenant: str, actor: str) -> None:
        """Count one request. Raises Problem (429), with when to come back, for one too many."""
        now = time.monotonic_ns()
        who = (tenant, actor)
        until = max(now, self._even_until.get(who, now)) + self._apart
        if (left := until - MINUTE - now) > 0:
            wait = math.ceil(left / SECOND)
            raise Problem.of(
                "too-many-requests",
                f"{self._per_minute} requests a minute are allowed; try again in {wait} s.",
                headers={"Retry-After": str(wait)},
            )
        self._even_until[who] = until


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


class InHand:
    """Bounds the commands that are sent and waited for at this moment, and one tenant's to half of them."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._per_tenant = max(1, most // 2)
        self._of_all = 0
        self._held: Counter[str] = Counter()

    @contextmanager
    def hold(self, tenant: str) -> Iterator[None]:
        """Count one command while the body runs. Raises Problem (429) for one too many."""
        if self._of_all >= self._most or self._held[tenant] >= self._per_tenant:
            raise Problem.of(
                "too-many-commands",
                "Nothing was sent: as many commands as may be in hand here wait for their outcomes.",
                headers={"Retry-After": "1"},
            )
        self._of_all += 1
        self._held[tenant] += 1
        try:
            yield
        finally:
            self._of_all -= 1
            self._held[tenant] -= 1
            if not self._held[tenant]:
                del self._held[tenant]


class _Share(asyncio.Semaphore):
    """One tenant's; `users` hold some of it or wait."""

    users = 0


class TenantShare:
    """Bounds what each tenant holds at a time."""

    def __init__(self, per_tenant: int) -> None:
        self._per_tenant = per_tenant
        # There are no more of them than there are requests: a share goes with its last user.
        self._shares: dict[str, _Share] = {}

    @asynccontextmanager
    async def hold(self, tenant: str) -> AsyncIterator[None]:
        """Hold one while the body runs. Raises Problem (429) after `SHARE_TIMEOUT` seconds in vain."""
        share = self._shares.setdefault(tenant, _Share(self._per_tenant))
        share.users += 1
        try:
            try:
                async with asyncio.timeout(SHARE_TIMEOUT):
                    await share.acquire()
            except TimeoutError:
                raise Problem.of("too-many-requests", _REFUSAL, headers={"Retry-After": "1"}) from None
            try:
                yield
            finally:
                share.release()
        finally:
            share.users -= 1
            if not share.users:
                del self._shares[tenant]
