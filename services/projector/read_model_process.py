"""A read model's life in a process: in its group while it is wanted there, out of it while it is paused."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeVar

import asyncpg
import structlog
from prometheus_client import Gauge

from commands import ORDERS
from messaging import BatchConsumer, Unrecoverable, started
from projector.building import Builder
from projector.desired_state import Looking
from projector.writing import LiveWriter
from readmodels import ReadModel
from readmodels.assignment import RebuildNeeded
from readmodels.desired_state import DesiredState
from readmodels.generations import open_live
from runtime import BY_KEY, Database, Health, Settings, unless_set

log = structlog.get_logger(__name__)

T = TypeVar("T")

PAUSED = Gauge(
    "tillstream_read_model_paused",
    "1 while a read model's projectors are to stay out of their group.",
    ["read_model"],
)
# Joining again at once would only be fenced again, until whoever took over has settled.
REJOIN_DELAY = 1.0


class ReadModelProcess:
    """Keeps one read model up to date: takes part in its group whenever, and as long as, that is wanted.

    Pauses, builds and swaps of generations are found in the database, so an operator needs no way to this
    process. A build is carried out beside the live generation, by the one process that holds the right to.

    Where the live generation is another version's, the process stands by: a restart would mend nothing, and
    a rollback to its version, or a build of it, needs it.
    """

    def __init__(
        self, read_model: type[ReadModel], settings: Settings, health: Health, looking: Looking
    ) -> None:
        self._read_model = read_model
        self._settings = settings
        self._health = health
        self._service = f"projector.{read_model.name}"
        self._topics = ORDERS.topics(settings.topic_prefix)
        self._database = Database(settings.database_url, self._service, server_settings=BY_KEY)
        self._looking = looking
        self._builder = Builder(read_model, settings, lambda: self._wanted)
        self._wanted = DesiredState()
        self._generation: int | None = None
        self._consumer: BatchConsumer | None = None
        self._changed = asyncio.Event()
        self._stopping = False
        health.add("consumer", lambda: "has not begun yet")

    def stop(self) -> None:
        """Let `run` end once the batch in flight has."""
        self._stopping = True
        self._interrupt()

    async def run(self) -> int:
        """Run until `stop`; returns the exit status. Raises what keeps it from starting."""
        self._health.add_state("build", lambda: str(self._wanted.build) if self._wanted.build else None)
        self._health.add_state("pause", self._paused_by)
        name = self._read_model.name
        self._see(self._looking.wanted[name])
        self._looking.watch(name, self._health, self._see, self._builder.look)
        building = asyncio.create_task(self._builder.run())
        building.add_done_callback(lambda _: self._interrupt())
        try:
            status = 0
            while not (self._stopping or status or building.done()):
                self._changed.clear()
                status = await self._live_on()
            if building.done():
                await building
            return status
        finally:
            building.cancel()
            await asyncio.wait({building})
            await self._database.close()

    async def _started(self, database: Database, work: Callable[[asyncpg.Connection], Awaitable[T]]) -> T:
        return await started(partial(database.use, work), self._health, self._settings.retry_budget)

    def _paused_by(self) -> str | None:
        return f"paused by {' and '.join(self._wanted.pauses)}" if self._wanted.pauses else None

    def _see(self, wanted: DesiredState) -> None:
        PAUSED.labels(self._read_model.name).set(bool(wanted.pauses))
        before, self._wanted = self._wanted, wanted
        swapped = wanted.live is not None and (self._generation or before.live) not in {None, wanted.live}
        if wanted.pauses != before.pauses or swapped:
            log.info("projector.wanted", paused_by=wanted.pauses, live_generation=wanted.live)
            self._interrupt()
        elif before.build is not None and wanted.build is None and self._consumer is None:
            # Who waits for a build has to look what came of it.
            self._changed.set()

    def _interrupt(self) -> None:
        self._changed.set()
        if self._consumer is not None:
            self._consumer.stop()

    async def _live_on(self) -> int:
        """Do what is wanted until something else is; returns an exit status."""
        if self._wanted.pauses:
            # What a consumer of before has to say is of no interest now.
            return await self._stand_by(lambda: None)
        if self._wanted.live_version not in {None, self._read_model.version}:
            return await self._stand_by(self._why_aside)
        try:
            status, refusal = await self._take_part()
        except RebuildNeeded as reason:
            # Another version's generation was swapped in just now.
            log.warning("projector.refused", reason=str(reason))
            await self._settle()
            return 0
        build = self._wanted.build
        if refusal is not None and build is not None and build.version == self._read_model.version:
            return await self._stand_by(lambda: f"{refusal}; it waits for the build under way")
        return status

    def _why_aside(self) -> str:
        name, live, mine = self._read_model.name, self._wanted.live_version, self._read_model.version
        found = f"the live tables of {name} were made by its version {live}, this build has version {mine}"
        if self._wanted.build is not None:
            return f"{found}; a {self._wanted.build}"
        if live is not None and live > mine:
            advice = f"deploy the newer build, or go back with `till rebuild {name} --rollback`"
        else:
            advice = f"its upgrade did not last; `till rebuild {name}` of this version makes it again"
        return f"{found}: {advice}"

    async def _stand_by(self, problem: Callable[[], str | None]) -> int:
        """Stay out of the group until something else is wanted; with a problem, unready."""
        if reason := problem():
            log.error("projector.stands_by", reason=reason)
        self._health.add("consumer", problem)
        await self._changed.wait()
        return 0

    async def _take_part(self) -> tuple[int, str | None]:
        """Be a member of the group, writing the live generation, until something else is wanted.

        Returns the exit status, and why the consumer refused to go on, where it did.
        """
        opening = self._started(self._database, partial(open_live, read_model=self._read_model))
        live = await unless_set(self._changed, opening)
        if live is None:
            return 0, None
        self._generation = live.generation
        writer = LiveWriter(self._settings, self._database, live)
        self._consumer = BatchConsumer(
            self._settings,
            topic=self._topics.events,
            group=self._topics.group(self._service),
            handler=writer,
            health=self._health,
        )
        if self._changed.is_set():
            # Asked to leave before there was anything to leave.
            self._consumer.stop()
        try:
            status = await self._consumer.run()
        finally:
            self._consumer = self._generation = None
            # A clean stop is no revocation to aiokafka, but it is one to us.
            await writer.revoked()
        if not (status or self._changed.is_set()):
            # Fenced: whoever has our partitions now is to settle first.
            await self._settle()
        refusal = str(writer.failure) if isinstance(writer.failure, Unrecoverable) else None
        return status, refusal if status else None

    async def _settle(self) -> None:
        try:
            async with asyncio.timeout(REJOIN_DELAY):
                await self._changed.wait()
        except TimeoutError:
            pass
