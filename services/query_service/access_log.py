"""What each request leaves behind: a line in the log, a time in the metrics, and headers on its answer."""

import time

import structlog
from prometheus_client import Histogram
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

log = structlog.get_logger(__name__)

SECONDS = Histogram(
    "tillstream_http_request_seconds",
    "From a request's arrival to the end of its answer, by route and status; streams last long.",
    ["route", "status"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60),
)
_UNKNOWN_ROUTE = "none"
_PROBES = frozenset({"/healthz", "/readyz", "/metrics"})


class AccessLog:
    """The middleware around all others."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and tell of it when its answer has ended."""
        if scope["type"] != "http" or scope["path"] in _PROBES:
            await self._app(scope, receive, send)
            return
        status = 500
        began = time.perf_counter()

        async def noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers.setdefault("cache-control", "no-store")
                headers.setdefault("x-content-type-options", "nosniff")
            await send(message)

        structlog.contextvars.clear_contextvars()
        try:
            await self._app(scope, receive, noting)
        finally:
            seconds = time.perf_counter() - began
            # Its name, never its path: paths are many, and ids in them are a tenant's.
            route = getattr(scope.get("route"), "name", _UNKNOWN_ROUTE)
            SECONDS.labels(route, status).observe(seconds)
            log.info(
                "http.request",
                method=scope["method"],
                route=route,
                status=status,
                milliseconds=round(seconds * 1000, 2),
            )
