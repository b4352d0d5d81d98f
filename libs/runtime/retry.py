"""How long, and how often, what failed is tried again: never, for a while, or for as long as it takes."""

import time

FIRST_DELAY, LONGEST_DELAY = 0.1, 2.0


class Unrecoverable(Exception):
    """What no further try can mend: a service ends at once, with the text as its reason."""


class WaitedFor(Exception):
    """What passes in its own time, such as a failover: a service says the text in `/readyz`, and waits."""


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

    def next_delay(self, error: BaseException) -> float | None:
        """Return the seconds to wait after one more failure; None when the budget is spent.

        What is waited for spends nothing of it.
        """
        now, delay = time.monotonic(), self._backoff.next_delay()
        if isinstance(error, WaitedFor):
            self._deadline = None
            return delay
        self._deadline = self._deadline or now + self._seconds
        return None if now + delay > self._deadline else delay
