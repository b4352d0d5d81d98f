"""How a rate is taken."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import NamedTuple


class Measurement(NamedTuple):
    """One rate beside its baseline's, both in things a second."""

    what: str
    count: int
    rate: float
    baseline: str
    baseline_rate: float


async def rate_until(done: Callable[[], Awaitable[int]], total: int, *, deadline: float = 300.0) -> float:
    """Return things a second between the first one seen done and the last of `total`.

    A process's start and its joining of a group are no part of it.
    """
    end = time.monotonic() + deadline
    first_count, first_at = 0, 0.0
    while True:
        count, now = await done(), time.perf_counter()
        if count and not first_count:
            first_count, first_at = count, now
        if count >= total:
            return (total - first_count) / max(now - first_at, 1e-9)
        if time.monotonic() > end:
            raise TimeoutError(f"{count:,} of {total:,} after {deadline:.0f} s")
        await asyncio.sleep(0.02)
