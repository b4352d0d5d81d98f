"""A projector's life: in its group while it is wanted there, out of it while its read model is paused."""

import asyncio
from functools import partial

import structlog
from prometheus_client import Gauge

from eventstore import EventStore
from messaging import BatchConsumer, KafkaConnection, Topics
from orders import ORDER
from projector.checkpoints import Checkpoints
from projector.generations import open_live
from projector.handler import Projector
from projector.projection import Projection
from projector.topic_id import fetch_topic
from projector.wanted import Wanted, keep_looking, look
from readmodels import ReadModel
from runtime import Database, Health, Settings

log = structlog.get_logger(__name__)

PAUSED = Gauge(
    "tillstream_read_model_paused",
    "1 while a read model's projectors are to stay out of their group.",
    ["read_model"],
)
# Joining again at once would only be fenced again, until whoever took over has settled.
REJOIN_DELAY = 1.0


class ReadModelProcess:
    """Keeps one read model up to date: takes part in its group whenever, and as long as, that is wanted.

    Pauses and swaps of generations are found in the database, so an operator needs no way to this process.
    """

    def __init__(self, read_model: type[ReadModel], settings: Settings, health: Health) -> None:
        self._read_model = read_model
        self._settings = settings
        self._health = health
        self._service = f"projector.{read_model.name}"
        self._topics = Topics(settings.topic_prefix)
        self._database = Database(settings.database_url, self._service)
        # Another connection: what is wanted must be seen in the midst of a long transaction, too.
        self._looking = Database(settings.database_url, f"{self._service}.looking")
        self._wanted = Wanted((), None)
        self._generation: int | None = None
        self._consumer: BatchConsumer | None = None
        self._changed = asyncio.Event()
        self._stopping = False

    def stop(self) -> None:
        """Let `run` end once the batch in flight has."""
        self._stopping = True
        self._interrupt()

    async def run(self) -> int:
        """Run until `stop`; returns the exit status.

        Raises RebuildNeeded when the live tables can't be brought up to date, and what `Database.reachable`
        raises.
        """
        conn = await self._looking.reachable(self._settings.retry_budget)
        self._see(await look(conn, self._read_model.name))
        looking = asyncio.create_task(keep_looking(self._looking, self._read_model.name, self._see))
        looking.add_done_callback(lambda _: self._interrupt())
        try:
            status = 0
            while not (self._stopping or status or looking.done()):
                self._changed.clear()
                status = await (self._stand_by() if self._wanted.pauses else self._take_part())
            if looking.done():
                await looking
            return status
        finally:
            looking.cancel()
            await self._looking.close()
            await self._database.close()

    def _see(self, wanted: Wanted) -> None:
        PAUSED.labels(self._read_model.name).set(bool(wanted.pauses))
        before, self._wanted = self._wanted, wanted
        swapped = self._generation is not None and wanted.live not in {None, self._generation}
        if wanted.pauses != before.pauses or swapped:
            log.info("projector.wanted", paused_by=wanted.pauses, live_generation=wanted.live)
            self._interrupt()

    def _interrupt(self) -> None:
        self._changed.set()
        if self._consumer is not None:
            self._consumer.stop()

    async def _stand_by(self) -> int:
        # What a consumer of before has to say is of no interest now.
        self._health.add("consumer", lambda: None)
        await self._changed.wait()
        return 0

    async def _take_part(self) -> int:
        """Be a member of the group, writing the live generation, until something else is wanted."""
        live = await open_live(await self._database.reachable(self._settings.retry_budget), self._read_model)
        self._generation = live.generation
        handler = Projector(
            self._database,
            live,
            Projection(live, EventStore(ORDER)),
            Checkpoints(live.name, live.generation, self._topics.events),
            partial(fetch_topic, KafkaConnection.of(self._settings), self._topics.events),
            parked_limit=self._settings.parked_limit,
        )
        self._consumer = BatchConsumer(
            self._settings,
            topic=self._topics.events,
            group=self._topics.group(self._service),
            handler=handler,
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
            await handler.revoked()
        if not (status or self._changed.is_set()):
            # Fenced: whoever has our partitions now is to settle first.
            await self._settle()
        return status

    async def _settle(self) -> None:
        try:
            async with asyncio.timeout(REJOIN_DELAY):
                await self._changed.wait()
        except TimeoutError:
            pass
