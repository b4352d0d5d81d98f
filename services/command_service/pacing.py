"""Lets the event loop run within long stretches of pure Python, so that heartbeats go out meanwhile."""

import asyncio
import time

# A heartbeat takes a few turns of the loop, and the session allows for 10 s.
LONGEST_STRETCH = 0.05


class Pace:
    """One stretch of work, in steps."""

    def __init__(self) -> None:
        self._since = time.monotonic()

    async def step(self) -> None:
        """Let others run when the last time is long ago."""
        if time.monotonic() - self._since > LONGEST_STRETCH:
            await asyncio.sleep(0)
            self._since = time.monotonic()
