"""The small HTTP face of every service: `/healthz`, `/readyz`, `/metrics`."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from math import ceil
from typing import Any

import structlog
import uvicorn
from prometheus_client import CONTENT_TYPE_LATEST, Gauge, generate_latest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from runtime.health import Health
from runtime.http_protocol import HttpProtocol
from runtime.stuck_peers import let_go_of_stuck_peers

log = structlog.get_logger(__name__)

READY = Gauge(
    "tillstream_ready", "1 while work gets done, by what is looked at: what `/readyz` says.", ["probe"]
)


class _Server(uvicorn.Server):
    """uvicorn without its signal handlers: the process's own shutdown decides the order of things."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def probe_routes(health: Health) -> list[Route]:
    """Return the routes of `/healthz`, `/readyz` and `/metrics`, for a service that has an app of its own."""

    async def healthz(_request: Request) -> Response:
        return JSONResponse({"alive": True})

    async def readyz(_request: Request) -> Response:
        problems = health.problems()
        return JSONResponse(
            {"ready": not problems, "problems": problems, "states": health.states()},
            status_code=503 if problems else 200,
        )

    async def metrics(_request: Request) -> Response:
        # A process that can't be scraped any more has no readiness to tell: Prometheus' `up` says that.
        for name, problem in health.looked_at().items():
            READY.labels(name).set(problem is None)
        return Response(generate_latest(), headers={"content-type": CONTENT_TYPE_LATEST})

    return [Route("/healthz", healthz), Route("/readyz", readyz), Route("/metrics", metrics)]


@asynccontextmanager
async def serve_http(health: Health, host: str, port: int) -> AsyncIterator[int]:
    """Serve the probes while the body runs; yields the port, which is a free one when `port` is 0.

    Raises OSError when the port is taken.
    """
    async with serve_app(Starlette(routes=probe_routes(health)), host, port) as bound:
        yield bound


@asynccontextmanager
async def serve_app(
    app: ASGIApp, host: str, port: int, *, patience: float | None = None
) -> AsyncIterator[int]:
    """Serve an app while the body runs; yields the port, which is a free one when `port` is 0.

    Behind the body no request is taken any more, and those in hand are answered: they have `patience`
    seconds, or as long as they take. Raises OSError when the port is taken.
    """
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        http=HttpProtocol,
        ws="none",
        log_config=None,
        access_log=False,
        lifespan="off",
        server_header=False,
        # Whoever connects is who is there: no header is trusted to say otherwise.
        proxy_headers=False,
        timeout_graceful_shutdown=None if patience is None else ceil(patience),
    )
    socket = config.bind_socket()
    # Who asks while the server still starts waits, and is not refused.
    socket.listen(config.backlog)
    server = _Server(config)
    task = asyncio.create_task(server.serve(sockets=[socket]))
    watching = asyncio.create_task(let_go_of_stuck_peers(lambda: _transports(server)))
    try:
        bound: int = socket.getsockname()[1]
        log.info("http.serving", host=host, port=bound)
        yield bound
    finally:
        server.should_exit = True
        await task
        watching.cancel()
        socket.close()


def _transports(server: uvicorn.Server) -> list[asyncio.Transport]:
    connections: list[Any] = list(server.server_state.connections)
    return [each.transport for each in connections if each.transport is not None]
