"""How the read models stand, and what became of a command."""

from collections.abc import Mapping
from typing import Any

import asyncpg
import jiter

from messaging import Topics
from operations.standing import Standing, read_standings
from query_service.access import Role
from query_service.answers.standing import CommandOutcome, ReadModels, build_of, outcome_of
from query_service.freshness import is_replaying
from query_service.parameters import CommandId
from query_service.problems import Problem, ProblemDetails
from query_service.routes.guarded import v1_router
from query_service.service import TheCaller, TheService
from readmodels import READ_MODELS

_GENERATIONS = "SELECT read_model, generation FROM projections.generations WHERE state = 'live'"
_OUTCOME = """
SELECT command_id, command_type, aggregate_id, actor, occurred_at, recorded_at, code, version, value
FROM command_outcomes WHERE tenant_id = $1 AND command_id = $2
"""

router = v1_router()


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


@router.get(
    "/commands/{command_id}", response_model=CommandOutcome, responses={404: {"model": ProblemDetails}}
)
async def show_command(service: TheService, caller: TheCaller, command_id: CommandId) -> dict[str, Any]:
    """Tell what became of a command; of a cashier's own alone, where it is a cashier who asks."""
    row = await service.database.ask(
        caller.tenant, lambda conn: conn.fetchrow(_OUTCOME, caller.tenant, command_id)
    )
    if row is None or (caller.role is Role.CASHIER and row["actor"] != caller.actor):
        raise Problem.of("not-found", "There is no outcome of such a command.")
    return outcome_of(row, jiter.from_json(row["value"]))
