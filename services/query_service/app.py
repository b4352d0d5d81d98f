"""The query service's composition root."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import structlog
from fastapi import FastAPI

from commands import ORDERS
from messaging import KafkaConnection
from query_service.access import PERMISSIONS, Admission, InvalidKeys, TokenChecker
from query_service.access.development import parse_development_identity
from query_service.access_log import AccessLog
from query_service.commands import Outcomes, Sender
from query_service.database import TenantDatabase
from query_service.error_handlers import answer_with_problems
from query_service.freshness import Freshness
from query_service.limits import InHand, RateLimit, StreamLimit
from query_service.live import Feed, Following
from query_service.openapi import DocumentedApi
from query_service.routes import ROUTERS
from query_service.routes.authenticated_route import AuthenticatedRoute
from query_service.routes.tags import TAGS
from query_service.service import Service
from query_service.settings import QuerySettings
from runtime import EXIT_FATAL, Health, on_stop, probe_routes, run, serve_app

log = structlog.get_logger(__name__)

# How long requests in hand may take once the service is to end.
PATIENCE = 10.0
_ABOUT = """\
Amounts and quantities are texts, so that no client rounds them. Times are UTC; a time in a question says its
offset. Whatever goes wrong is answered by a problem (RFC 9457) that names the field and the rule.

Read models follow the log, mostly by milliseconds: the header `Tillstream-Records-Behind` says how far behind
an answer is. Who has just changed an order asks for it with `min_version`."""


@asynccontextmanager
async def assembled(settings: QuerySettings, stopping: asyncio.Event) -> AsyncIterator[Service]:
    """Give the service's parts, at work until the body ends. Raises InvalidKeys."""
    health = Health()
    admission = _admission(settings)
    async with AsyncExitStack() as stack:
        database = await stack.enter_async_context(
            TenantDatabase.opened(
                settings.database_url, settings.database_connections, settings.statement_timeout
            )
        )
        kafka, topics = KafkaConnection.of(settings), ORDERS.topics(settings.topic_prefix)
        feed = Feed(kafka, topics.events, health)
        freshness = Freshness(database, topics.events, feed.ends, health)
        outcomes, sender = (
            Outcomes(kafka, topics.outcomes, health),
            Sender(kafka, settings.sending_partitioner),
        )
        stack.push_async_callback(sender.close)
        await stack.enter_async_context(
            _at_work(feed.run(), outcomes.run(), outcomes.stop_at(stopping), freshness.keep_looking())
        )
        yield Service(
            settings=settings,
            health=health,
            database=database,
            admission=admission,
            freshness=freshness,
            streams=StreamLimit(settings.streams_per_tenant),
            following=Following(feed),
            commands_in_hand=InHand(settings.commands_in_hand),
            outcomes=outcomes,
            sender=sender,
            stopping=stopping,
        )


@asynccontextmanager
async def _at_work(*work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Have this done beside the body, until it ends."""
    tasks = [asyncio.create_task(each) for each in work]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


def bare_app() -> FastAPI:
    """Return the app without anything to work with: enough to tell what it can be asked."""
    app = DocumentedApi(
        title="Tillstream",
        version="1",
        summary="Orders, their history, and what was sold: one tenant's, as the token says.",
        description=_ABOUT,
        servers=[{"url": "/", "description": "Where this document comes from."}],
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        openapi_tags=[{"name": tag.value, "description": about} for tag, about in TAGS.items()],
    )
    for router in ROUTERS:
        # As they are, and not by include_router, which would look for each request in every router first.
        app.router.routes.extend(router.routes)
    return app


def create_app(service: Service) -> FastAPI:
    """Return the app over the service's parts."""
    app = bare_app()
    app.state.service = service
    app.router.routes.extend(probe_routes(service.health))
    guarded = {route.name for route in app.routes if isinstance(route, AuthenticatedRoute)}
    if unknown := guarded - PERMISSIONS.keys():
        raise LookupError(f"access.permissions does not say who may use {', '.join(sorted(unknown))}")
    app.add_middleware(AccessLog)
    answer_with_problems(app)
    return app


def _admission(settings: QuerySettings) -> Admission:
    tokens = development = None
    if settings.has_keys:
        keys = settings.jwt_keys
        if settings.jwt_keys_file is not None:
            keys = settings.jwt_keys_file.read_text()
        tokens = TokenChecker(keys, settings.jwt_issuer, settings.jwt_audience)
    if settings.development_identity:
        development = parse_development_identity(settings.development_identity)
        log.warning(
            "access.development_identity",
            tenant=development.tenant,
            actor=development.actor,
            role=development.role,
            meaning="whoever connects without a token is let in as this one",
        )
    return Admission(tokens, development, RateLimit(settings.requests_per_minute))


async def query_service(settings: QuerySettings) -> int:
    """Answer until SIGTERM or SIGINT; returns the exit status."""
    stopping = asyncio.Event()
    on_stop(stopping.set)
    try:
        async with assembled(settings, stopping) as service:
            app = create_app(service)
            async with serve_app(app, settings.http_host, settings.http_port, patience=PATIENCE):
                await stopping.wait()
    except InvalidKeys as reason:
        log.error("service.refused", reason=str(reason))  # noqa: TRY400 - no fault of ours
        return EXIT_FATAL
    return 0


def main() -> None:
    """Start the service from the environment's settings."""
    run("query_service", QuerySettings, query_service)
