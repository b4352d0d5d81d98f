"""A projector's process: one read model or several, and what they share."""

import asyncio
import time
from collections.abc import Sequence
from functools import partial

import structlog

from commands import ORDERS
from messaging import KafkaConnection, started
from projector.completeness import Completeness
from projector.desired_state import Looking
from projector.read_model_process import ReadModelProcess
from readmodels import READ_MODELS
from runtime import EXIT_FATAL, Database, Health, Settings, Unrecoverable, unless_set

log = structlog.get_logger(__name__)

# How long one of several read models that gave up is left alone.
FIRST_REST, LONGEST_REST = 1.0, 30.0


class ProjectorProcess:
    """Keeps read models up to date, each in its own group and by its own transactions and checkpoints.

    Alone, one that gives up ends the process. One of several is started again in the process, as a supervisor
    would, and its neighbours go on; once all have given up, the process ends.
    """

    def __init__(self, read_models: Sequence[str], settings: Settings, health: Health) -> None:
        self._read_models = read_models
        self._settings = settings
        self._health = health
        name = f"projector.{read_models[0]}" if len(read_models) == 1 else "projector"
        topic = ORDERS.topics(settings.topic_prefix).events
        # What is wanted must be seen in the midst of a long transaction, too.
        self._seeing = Database(settings.database_url, f"{name}.looking")
        self._looking = Looking(read_models, topic)
        # And this one waits most of the time.
        self._telling = Database(settings.database_url, f"{name}.telling")
        self._completeness = Completeness(self._telling, KafkaConnection.of(settings), read_models, topic)
        alone = len(read_models) == 1
        self._healths = {name: health if alone else health.part(name) for name in read_models}
        for each in self._healths.values():
            each.add("consumer", lambda: "has not looked into the database yet")
        self._stopping = asyncio.Event()
        self._running: dict[str, ReadModelProcess] = {}
        health.add("database", self._seeing.problem)

    def stop(self) -> None:
        """Let `run` end once the batches in flight have."""
        self._stopping.set()
        for process in self._running.values():
            process.stop()

    async def run(self) -> int:
        """Run until `stop`; returns the exit status. Raises what keeps it from starting, or going on."""
        look = started(
            partial(self._seeing.use, self._looking.look), self._health, self._settings.retry_budget
        )
        try:
            if not await unless_set(self._stopping, look):
                return 0
            return await self._work()
        finally:
            await self._seeing.close()
            await self._telling.close()

    async def _work(self) -> int:
        beside = {
            asyncio.create_task(self._looking.keep_looking(self._seeing)),
            asyncio.create_task(self._completeness.keep_telling()),
        }
        for task in beside:
            task.add_done_callback(lambda _: self.stop())
        try:
            if len(self._read_models) == 1:
                status = await self._run(self._read_models[0])
            else:
                status = await self._keep_all()
            for task in beside:
                if task.done():
                    await task
            return status
        finally:
            for task in beside:
                task.cancel()
            await asyncio.wait(beside)

    async def _run(self, name: str) -> int:
        process = ReadModelProcess(READ_MODELS[name], self._settings, self._healths[name], self._looking)
        self._running[name] = process
        if self._stopping.is_set():
            process.stop()
        try:
            return await process.run()
        finally:
            del self._running[name]

    async def _keep_all(self) -> int:
        resting: set[str] = set()
        async with asyncio.TaskGroup() as keeping:
            for name in self._read_models:
                keeping.create_task(self._keep(name, resting))
        return EXIT_FATAL if resting else 0

    async def _keep(self, name: str, resting: set[str]) -> None:
        """Run a read model, again and again, until we stop; once all are `resting` at a time, we do."""
        structlog.contextvars.bind_contextvars(read_model=name)
        rest = FIRST_REST
        while not self._stopping.is_set():
            began = time.monotonic()
            if not await self._gives_up(name):
                return
            if time.monotonic() - began > LONGEST_REST:
                rest = FIRST_REST
            resting.add(name)
            if len(resting) == len(self._read_models):
                log.error("projector.all_gave_up")
                self.stop()
                return
            told = f"gave up, and starts again {rest:.0f} s later; the log says why"
            self._healths[name].add("consumer", partial(str, told))
            await unless_set(self._stopping, asyncio.sleep(rest))
            resting.discard(name)
            rest = min(rest * 2, LONGEST_REST)

    async def _gives_up(self, name: str) -> bool:
        try:
            return await self._run(name) != 0
        except Unrecoverable as reason:
            log.error("projector.refused", reason=str(reason))  # noqa: TRY400 - no fault of ours
        except Exception:
            log.exception("projector.failed")
        return True
