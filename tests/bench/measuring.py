"""How a rate and a time are taken."""

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple


class Measurement(NamedTuple):
    """One rate beside its baseline's, both in things a second."""

    what: str
    count: int  # type: ignore[assignment] # nobody counts in one
    rate: float
    baseline: str
    baseline_rate: float


class Latency(NamedTuple):
    """How long one thing took, beside its baseline; in milliseconds."""

    what: str
    count: int  # type: ignore[assignment] # nobody counts in one
    median: float
    p95: float
    baseline: str
    baseline_median: float


def latency(what: str, times: Sequence[float], baseline: str, baseline_times: Sequence[float]) -> Latency:
    """Sum up single times, in milliseconds."""
    return Latency(
        what,
        len(times),
        statistics.median(times),
        statistics.quantiles(times, n=20)[-1],
        baseline,
        statistics.median(baseline_times),
    )


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
