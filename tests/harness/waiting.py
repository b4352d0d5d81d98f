"""Waiting for a condition, with a deadline."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")


async def eventually(probe: Callable[[], Awaitable[T]], *, deadline: float = 60.0) -> T:
    """Give the first true answer of `probe`; fail with the last one when `deadline` seconds have passed."""
    end = time.monotonic() + deadline
    while True:
        answer = await probe()
        if answer:
            return answer
        if time.monotonic() > end:
            raise AssertionError(f"still {answer!r} after {deadline} s")
        await asyncio.sleep(0.05)


def eventually_now(probe: Callable[[], T], *, deadline: float = 60.0) -> T:
    """Do as `eventually` where nothing else has to run meanwhile."""
    end = time.monotonic() + deadline
    while not (answer := probe()):
        if time.monotonic() > end:
            raise AssertionError(f"still {answer!r} after {deadline} s")
        time.sleep(0.05)
    return answer
