"""How a service process starts and ends."""

import asyncio
import gc
import signal
import sys
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import structlog
import uvloop

from runtime.logs import configure_logging
from runtime.settings import S, WrongSettings, read_settings

EXIT_FATAL = 70
"""The exit status of a service that gave up (EX_SOFTWARE of sysexits.h): a supervisor starts it again."""

# Records, events and rows are many and make no cycles. By the default threshold of 700 new objects the search
# for cycles took half of the time of reading records.
NEW_OBJECTS_BEFORE_COLLECTION = 20_000

log = structlog.get_logger(__name__)

T = TypeVar("T")


def on_stop(stop: Callable[[], None]) -> None:
    """Call `stop` at SIGTERM or SIGINT, on the running loop; a later call replaces an earlier one."""
    for signum in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(signum, stop)


async def unless_set(event: asyncio.Event, work: Coroutine[Any, Any, T]) -> T | None:
    """Return what `work` returns; None, with the work cancelled, once the event is set before its end.

    Raises what the work raises.
    """
    working, waiting = asyncio.create_task(work), asyncio.create_task(event.wait())
    try:
        await asyncio.wait({working, waiting}, return_when=asyncio.FIRST_COMPLETED)
        return await working if working.done() else None
    finally:
        for task in (working, waiting):
            task.cancel()
        await asyncio.wait({working, waiting})


def run(service: str, kind: type[S], main: Callable[[S], Coroutine[Any, Any, int]]) -> None:
    """Run a service by the settings of its kind, and exit with the status that `main` returns.

    With EXIT_FATAL on any exception, and on settings that are wrong, which one line of the log names.
    """
    configure_logging(service)
    try:
        settings = read_settings(kind)
    except WrongSettings as error:
        log.error("settings.wrong", reason=str(error))  # noqa: TRY400 - the sentence says it
        sys.exit(EXIT_FATAL)
    configure_logging(service, settings.log_level)
    gc.set_threshold(NEW_OBJECTS_BEFORE_COLLECTION)
    try:
        status = uvloop.run(main(settings))
    except Exception:
        log.exception("service.failed")
        status = EXIT_FATAL
    sys.exit(status)
