"""How a service process starts and ends."""

import sys
from collections.abc import Coroutine
from typing import Any

import structlog
import uvloop

EXIT_FATAL = 70
"""The exit status of a service that gave up (EX_SOFTWARE of sysexits.h): a supervisor starts it again."""

log = structlog.get_logger(__name__)


def run(main: Coroutine[Any, Any, int]) -> None:
    """Run `main` to its end and exit with the status it returns, or with EXIT_FATAL on any exception."""
    try:
        status = uvloop.run(main)
    except Exception:
        log.exception("service.failed")
        status = EXIT_FATAL
    sys.exit(status)
