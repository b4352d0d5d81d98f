"""Tells that a read model makes up for a rewind, as a metric and beside readiness."""

import asyncpg
from prometheus_client import Gauge

from readmodels.checkpoints import live_checkpoints
from readmodels.read_model_status import tell_replay
from runtime import Health

REPLAYING = Gauge(
    "tillstream_read_model_replaying",
    "1 while a read model makes up for a rewind: readers see it whole, but parts of it in an older state.",
    ["read_model"],
)


class Replaying:
    """What is told of one read model's rewinds; whichever of its projectors makes up for them."""

    def __init__(self, read_model: str, topic: str, health: Health) -> None:
        self._read_model = read_model
        self._topic = topic
        self._told: str | None = None
        REPLAYING.labels(read_model).set(0)
        health.add_state("replay", lambda: self._told)

    async def look(self, conn: asyncpg.Connection) -> None:
        """Find out from the checkpoints."""
        _, found = await live_checkpoints(conn, self._read_model, self._topic)
        self._told = tell_replay(each.place for each in found.values())
        REPLAYING.labels(self._read_model).set(self._told is not None)
