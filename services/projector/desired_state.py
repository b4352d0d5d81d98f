"""Looks up again and again what the database wants of this process's read models, and where they are."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple, TypeAlias

import asyncpg
import structlog
from prometheus_client import Gauge

from readmodels.assignment import Place
from readmodels.desired_state import DesiredState, read_desired_states
from readmodels.read_model_status import read_places, tell_replay
from runtime import Database, Health, is_passing_fault

log = structlog.get_logger(__name__)

# A paused projector has left its group within two seconds: this, the batch in flight, and the leave itself.
LOOK_INTERVAL = 0.5
PLACES_INTERVAL = 2.0
REPLAYING = Gauge(
    "tillstream_read_model_replaying",
    "1 while a read model makes up for a rewind: readers see it whole, but parts of it in an older state.",
    ["read_model"],
)

See: TypeAlias = Callable[[DesiredState], None]
Look: TypeAlias = Callable[[asyncpg.Connection], Awaitable[None]]


class _Watcher(NamedTuple):
    see: See
    look: Look


class Looking:
    """What was last seen, of all read models of this process in one question."""

    def __init__(self, read_models: Sequence[str], topic: str) -> None:
        self._topic = topic
        self._watchers: dict[str, _Watcher] = {}
        self._places_at = 0.0
        self._told: dict[str, str | None] = {}
        self.wanted: dict[str, DesiredState] = dict.fromkeys(read_models, DesiredState())
        """Read model → what is wanted of it."""

    def watch(self, read_model: str, health: Health, see: See, look: Look) -> None:
        """Call `see` with what is wanted of a read model, and `look` with the connection, on each look.

        Its rewinds are told in `health`, whichever of its projectors makes up for them.
        """
        self._watchers[read_model] = _Watcher(see, look)
        REPLAYING.labels(read_model).set(0)
        health.add_state("replay", lambda: self._told.get(read_model))

    async def look(self, conn: asyncpg.Connection) -> bool:
        """Look once; returns True. Raises what asyncpg raises."""
        self.wanted = await read_desired_states(conn, self.wanted)
        for name, watcher in self._watchers.items():
            watcher.see(self.wanted[name])
        for watcher in self._watchers.values():
            await watcher.look(conn)
        if time.monotonic() - self._places_at > PLACES_INTERVAL:
            self._tell_replays(await read_places(conn, self._topic))
            self._places_at = time.monotonic()
        return True

    async def keep_looking(self, database: Database) -> None:
        """Look again and again; without a database nothing is seen.

        Raises what is no passing fault, such as a missing grant.
        """
        while True:
            try:
                await self.look(await database.connection())
            except Exception as error:
                if not is_passing_fault(error):
                    raise
                database.discard()
                log.warning("projector.look_failed", error=repr(error))
            await asyncio.sleep(LOOK_INTERVAL)

    def _tell_replays(self, places: dict[str, dict[int, Place]]) -> None:
        for name in self._watchers:
            self._told[name] = tell_replay(places.get(name, {}).values())
            REPLAYING.labels(name).set(self._told[name] is not None)
