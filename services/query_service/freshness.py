"""How far each read model is behind the topic, looked up beside the requests and not by each of them."""

import asyncio
from collections.abc import Callable, Collection, Mapping
from typing import Any

import asyncpg
import structlog
from prometheus_client import Gauge

from query_service.database import TenantDatabase
from query_service.problems import Problem
from readmodels import READ_MODELS
from readmodels.assignment import Place
from readmodels.read_model_status import read_places
from runtime import Health

log = structlog.get_logger(__name__)

BEHIND_HEADER = "Tillstream-Records-Behind"
REPLAYING_HEADER = "Tillstream-Replaying"
INTERVAL = 1.0
# Checkpoints belong to no tenant; no tenant has this name.
_NO_TENANT = ""

BEHIND = Gauge(
    "tillstream_query_read_model_behind",
    "Events on the topic that a read model has not applied, as the query service tells its clients.",
    ["read_model"],
)

FROM_READ_MODELS: dict[int | str, dict[str, Any]] = {
    200: {
        "headers": {
            BEHIND_HEADER: {
                "description": "How many events on the topic the read model had not applied, as of the last "
                "second or so; absent while that isn't known. Events of parked orders count as applied.",
                "schema": {"type": "integer", "minimum": 0},
            },
            REPLAYING_HEADER: {
                "description": "There while the read model makes up for a rewind of its offsets, and may "
                "lack what it showed before.",
                "schema": {"type": "boolean", "const": True},
            },
        }
    }
}
"""What the OpenAPI document says of these headers: for the routes that send them."""

Ends = Callable[[], Mapping[int, int] | None]
"""Gives the topic's end offsets by partition as they are known now; None while they aren't."""


def records_behind(places: Mapping[int, Place], ends: Mapping[int, int]) -> int:
    """Return how many records of the topic lie at or past where a read model is."""
    return sum(
        max(0, end - (places[partition].next_offset if partition in places else 0))
        for partition, end in ends.items()
    )


def is_replaying(places: Mapping[int, Place]) -> bool:
    """Tell whether a read model makes up for a rewind in some partition."""
    return any(place.replaying for place in places.values())


class Freshness:
    """What was last found out; at most about a second old."""

    def __init__(self, database: TenantDatabase, topic: str, ends: Ends, health: Health) -> None:
        self._database = database
        self._topic = topic
        self._ends = ends
        self._behind: dict[str, int] = {}
        self._replaying: frozenset[str] = frozenset()
        self._problem: str | None = "has not asked the database yet"
        health.add("database", lambda: self._problem)

    def headers(self, read_model: str) -> dict[str, str]:
        """Return the headers that say how many records a read model is behind, where known, and a replay."""
        behind = self._behind.get(read_model)
        headers = {} if behind is None else {BEHIND_HEADER: str(behind)}
        return {**headers, REPLAYING_HEADER: "true"} if read_model in self._replaying else headers

    def behind(self, places: Mapping[int, Place]) -> int | None:
        """Return how many records lie past these places; None while the topic's ends aren't known."""
        ends = self._ends()
        return None if ends is None else records_behind(places, ends)

    async def look(self) -> None:
        """Find out anew. Raises Problem when the database doesn't answer."""

        async def places(conn: asyncpg.Connection) -> Mapping[str, Mapping[int, Place]]:
            known = await read_places(conn, self._topic)
            return {name: known.get(name, {}) for name in READ_MODELS}

        found = await self._database.ask(_NO_TENANT, places)
        # Last, so that what was applied meanwhile does not count as ahead of it.
        ends = self._ends()
        self._tell(
            {} if ends is None else {name: records_behind(at, ends) for name, at in found.items()},
            [name for name, at in found.items() if is_replaying(at)],
        )

    def _tell(self, behind: dict[str, int], replaying: Collection[str] = ()) -> None:
        self._behind = behind
        self._replaying = frozenset(replaying)
        # What isn't known any more has no figure, rather than the last one.
        BEHIND.clear()
        for name, records in behind.items():
            BEHIND.labels(name).set(records)

    async def keep_looking(self) -> None:
        """Find out again and again, until cancelled."""
        while True:
            try:
                await self.look()
                self._problem = None
            except Problem as problem:
                self._tell({})
                self._problem = problem.detail
            except Exception as error:  # noqa: BLE001 - it is told, and the next look may find it mended
                self._tell({})
                self._problem = "the database does not let the query service look"
                log.warning("freshness.unknown", error=repr(error))
            await asyncio.sleep(INTERVAL)
