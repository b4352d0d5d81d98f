"""How long, and how often, what failed is tried again."""

import time

FIRST_DELAY, LONGEST_DELAY = 0.1, 2.0


class Backoff:
    """Longer and longer delays between the tries of one thing."""

    def __init__(self) -> None:
        self._delay = FIRST_DELAY

    def next_delay(self) -> float:
        """Return the seconds to wait after one more failure."""
        delay, self._delay = self._delay, min(self._delay * 2, LONGEST_DELAY)
        return delay

    def reset(self) -> None:
        """Begin with the shortest delay again: it worked."""
        self._delay = FIRST_DELAY


class Budget:
    """How long to try again: counted from the first failure.

    Before it the process may have worked long, or stood still until others took its locks and partitions.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._deadline: float | None = None
        self._backoff = Backoff()

    def next_delay(self) -> float | None:
        """Return the seconds to wait after one more failure; None when the budget is spent."""
        now, delay = time.monotonic(), self._backoff.next_delay()
        self._deadline = self._deadline or now + self._seconds
        return None if now + delay > self._deadline else delay
