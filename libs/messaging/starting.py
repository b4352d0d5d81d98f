"""What a service does before its work: tried again while the servers it needs are not there, or not yet."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog
from aiokafka.errors import KafkaError

from runtime import Health, is_passing_fault
from runtime.retry import Budget, WaitedFor

log = structlog.get_logger(__name__)

T = TypeVar("T")
_PROBE = "start"


def is_passing(error: BaseException) -> bool:
    """Tell whether trying again can help, whichever of the two servers the fault is of."""
    # A permission that is missing is not there a second later.
    return bool(error.retriable) if isinstance(error, KafkaError) else is_passing_fault(error)


async def started(work: Callable[[], Awaitable[T]], health: Health, budget: float) -> T:
    """Return what a part of a start returns, trying again for `budget` seconds while its faults pass.

    Readiness tells the fault meanwhile. Raises what the last try raised, and at once what doesn't pass.
    """
    tries, began, last = Budget(budget), time.monotonic(), ""

    def problem() -> str | None:
        return f"can't start for {time.monotonic() - began:.0f} s: {last}" if last else None

    health.add(_PROBE, problem)
    while True:
        try:
            result = await work()
        except Exception as error:
            delay = tries.next_delay(error) if is_passing(error) else None
            if delay is None:
                raise
            last = str(error) if isinstance(error, WaitedFor) else repr(error)
            log.warning("service.start_retried", error=last, delay=delay)
        else:
            last = ""
            return result
        await asyncio.sleep(delay)
