"""How fast read models apply events, from looks a little while apart."""

import time
from collections import deque
from collections.abc import Callable, Mapping

from operations.status.lag import Lags

_SECONDS = 10.0


class Rates:
    """Rates over the last seconds, of each read model and of the outbox."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._looks: deque[tuple[float, Lags]] = deque()

    def see(self, lags: Lags) -> None:
        """Take one more look in; those of more than ten seconds ago are forgotten, except the last two."""
        now = self._clock()
        self._looks.append((now, lags))
        while len(self._looks) > 2 and now - self._looks[0][0] > _SECONDS:  # noqa: PLR2004 - the last two
            self._looks.popleft()

    def applied(self, read_model: str) -> float | None:
        """Return events a second; None before the second look, and while a rewind moves it back."""
        if len(self._looks) < 2:  # noqa: PLR2004 - a rate needs two
            return None
        (began, first), (ended, last) = self._looks[0], self._looks[-1]
        before, after = _places(first, read_model), _places(last, read_model)
        moves = [after[partition] - place for partition, place in before.items() if partition in after]
        if ended <= began or any(move < 0 for move in moves):
            return None
        return sum(moves) / (ended - began)

    def outbox_growth(self) -> float | None:
        """Return how many messages a second the outbox grows by, negative while it shrinks."""
        if len(self._looks) < 2:  # noqa: PLR2004 - a rate needs two
            return None
        (began, first), (ended, last) = self._looks[0], self._looks[-1]
        return (last.outbox.rows - first.outbox.rows) / (ended - began) if ended > began else None


def _places(lags: Lags, read_model: str) -> Mapping[int, int]:
    return {number: each.place for number, each in lags.read_models[read_model].partitions.items()}
