"""How the read models stand."""

from collections.abc import Mapping
from typing import Any

import asyncpg

from messaging import Topics
from operations.standing import Standing, read_standings
from query_service.answers.standing import ReadModels, build_of
from query_service.freshness import is_replaying
from query_service.routes.guarded import v1_router
from query_service.routes.tags import Tag
from query_service.service import TheCaller, TheService
from readmodels import READ_MODELS

_GENERATIONS = "SELECT read_model, generation FROM projections.generations WHERE state = 'live'"

router = v1_router(Tag.READ_MODELS)


@router.get("/read-models", response_model=ReadModels)
async def read_models(service: TheService, caller: TheCaller) -> dict[str, Any]:
    """Tell of each read model how far behind it is, what is being done to it, and what is parked."""
    topic = Topics(service.settings.topic_prefix).events

    async def question(
        conn: asyncpg.Connection,
    ) -> tuple[Mapping[str, Standing], Mapping[str, int]]:
        standings = await read_standings(conn, topic, READ_MODELS)
        return standings, {row[0]: row[1] for row in await conn.fetch(_GENERATIONS)}

    standings, generations = await service.database.ask(caller.tenant, question)
    return {
        "read_models": [
            {
                "name": name,
                "generation": generations.get(name),
                "records_behind": service.freshness.behind(standing.places),
                "replaying": is_replaying(standing.places),
                "events_to_replay": sum(place.to_replay for place in standing.places.values()),
                "paused_by": standing.pauses,
                "parked_orders": sum(standing.parked.values()),
                "build": standing.build and build_of(standing.build),
            }
            for name, standing in standings.items()
        ]
    }
