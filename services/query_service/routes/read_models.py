"""How the read models stand."""

from collections.abc import Mapping
from typing import Any

import asyncpg

from commands import ORDERS
from queries.answers import ReadModels, build_of
from query_service.freshness import is_replaying
from query_service.routes.authenticated_route import v1_router
from query_service.routes.tags import Tag
from query_service.service import TheCaller, TheService
from readmodels import READ_MODELS
from readmodels.generations import Generation, live_generations
from readmodels.read_model_status import ReadModelStatus, read_statuses

router = v1_router(Tag.READ_MODELS)


@router.get("/read-models", response_model=ReadModels)
async def read_models(service: TheService, caller: TheCaller) -> dict[str, Any]:
    """Tell of each read model how far behind it is, what is being done to it, and what is parked.

    Parked orders are the tenant's; all else concerns the whole installation.
    """
    topic = ORDERS.topics(service.settings.topic_prefix).events

    async def question(
        conn: asyncpg.Connection,
    ) -> tuple[Mapping[str, ReadModelStatus], Mapping[str, Generation]]:
        return await read_statuses(conn, topic, READ_MODELS), await live_generations(conn)

    statuses, generations = await service.database.ask(caller.tenant, question)
    return {
        "read_models": [
            {
                "name": name,
                "generation": generations[name].generation if name in generations else None,
                "records_behind": service.freshness.behind(status.places),
                "replaying": is_replaying(status.places),
                "events_to_replay": sum(place.to_replay for place in status.places.values()),
                "paused_by": status.pauses,
                "parked_orders": sum(status.parked.values()),
                "build": status.build and build_of(status.build),
            }
            for name, status in statuses.items()
        ]
    }
