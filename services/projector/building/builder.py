"""Carries out the builds that a process's version of the read model is asked for."""

import asyncio
from collections.abc import Callable

import asyncpg
import structlog

from commands import ORDERS
from messaging import KafkaConnection, is_passing
from projector.building.build_lease import BuildLease, NotHeld
from projector.building.catching_up import CatchingUp, ConsumerEnded, catching_up
from projector.building.comparing import Comparison
from projector.building.record import (
    BuildJob,
    Cancelled,
    TakenOver,
    beat,
    end,
    enter,
    keep_comparison,
    read_build,
    request_upgrade,
    tell_blocked,
)
from projector.building.scanning import Scan, begin
from projector.building.swapping import READERS_WITHIN, try_swap
from projector.desired_state import LOOK_INTERVAL
from projector.faults import tell
from readmodels import ReadModel
from readmodels.blockers import view_holders, who_blocks
from readmodels.desired_state import DesiredState
from readmodels.generations import LOCK_GENERATIONS, drop_generation, read_generations
from runtime import Settings

log = structlog.get_logger(__name__)

# Tried again until it passes or an operator cancels: a build has all the time it needs.
RETRY_DELAY = 2.0
# The new generation is kept up to date until the read model's own group has taken it over.
TAKEN_OVER_WITHIN = 15.0


class _StandDown(Exception):
    """The read model is paused: nothing writes."""


class Builder:
    """The part of a projector's process that works at builds; its own consumer goes on beside."""

    def __init__(
        self, read_model: type[ReadModel], settings: Settings, wanted: Callable[[], DesiredState]
    ) -> None:
        self._read_model = read_model
        self._settings = settings
        self._wanted = wanted
        self._kafka = KafkaConnection.of(settings)
        self._topic = ORDERS.topics(settings.topic_prefix).events
        self._lease = BuildLease(settings.database_url, read_model.name)
        # Generations that can't be dropped: somebody built on their tables.
        self._kept: set[int] = set()
        # The session that is trying to swap, and who it was last seen to wait for.
        self._swapping: int | None = None
        self._blocked_by: list[str] = []

    async def run(self) -> None:
        """Look for work and do it until cancelled. Raises only what is neither passing nor a build's own."""
        try:
            while True:
                if self._has_work(self._wanted()):
                    await self._try_to_work()
                else:
                    await self._lease.release()
                await asyncio.sleep(LOOK_INTERVAL)
        finally:
            await self._lease.release()

    def _has_work(self, wanted: DesiredState) -> bool:
        if wanted.pauses or wanted.live is None:
            return False
        if wanted.build is not None:
            # What another version left can be cancelled by any.
            return wanted.build.version == self._read_model.version or wanted.build.cancel_requested
        version = self._read_model.version
        newer = wanted.live_version is not None and wanted.live_version < version
        return not self._kept.issuperset(wanted.to_drop) or (newer and version not in wanted.upgrades)

    async def _try_to_work(self) -> None:
        try:
            if not await self._lease.acquire():
                return
            wanted = self._wanted()
            if wanted.build is not None:
                await self._work_at(await read_build(await self._lease.connection(), wanted.build.id))
            elif not self._kept.issuperset(wanted.to_drop):
                await self._drop_unwanted()
            elif await request_upgrade(
                await self._lease.connection(), self._read_model.name, self._read_model.version
            ):
                log.info("build.upgrade_requested", version=self._read_model.version)
        except (_StandDown, TakenOver, NotHeld) as reason:
            log.info("build.stood_down", reason=repr(reason))
            await self._lease.release()
        except Exception as error:
            if not _may_pass(error):
                raise
            log.warning("build.retried", error=repr(error), delay=RETRY_DELAY)
            self._lease.discard()
            await asyncio.sleep(RETRY_DELAY)

    async def _work_at(self, build: BuildJob) -> None:
        log.info("build.taken_up", build=build.id, kind=build.kind, state=build.state)
        try:
            await self._carry_out(build)
        except Cancelled:
            await self._end(build, "cancelled")
        except Exception as error:
            if _may_pass(error) or isinstance(error, _StandDown | TakenOver | NotHeld):
                raise
            log.exception("build.failed", build=build.id)
            await self._end(build, "failed", tell(error))

    async def _end(self, build: BuildJob, state: str, error: str | None = None) -> None:
        conn = await self._lease.connection()
        await end(conn, await read_build(conn, build.id), state, error)
        log.info("build.ended", build=build.id, state=state)
        await self._drop_unwanted()

    async def _carry_out(self, build: BuildJob) -> None:
        """Do what is left of a build. Raises Cancelled, and what fails."""

        async def step() -> bool:
            return await self._step(build)

        await step()
        conn = await self._lease.connection()
        if build.state == "requested":
            if build.kind == "rollback":
                await enter(conn, build, "catching_up")
            else:
                await begin(conn, build, self._read_model, self._kafka, self._topic)
            build = await read_build(conn, build.id)
        if build.generation is None:
            raise LookupError("the build names no generation")
        generation = self._read_model(build.generation)
        if build.state == "scanning":
            limit = self._settings.parked_limit
            await Scan(self._lease, build, generation, self._topic, limit).run(step)
            await enter(await self._lease.connection(), build, "catching_up")
        async with catching_up(self._settings, self._lease, generation) as at_work:
            await at_work.level(step)
            await enter(await self._lease.connection(), build, "comparing")
            found = await Comparison(self._lease, generation, self._topic, step).run()
            await keep_comparison(await self._lease.connection(), build, found)
            await self._swap(build, generation, at_work)
            await self._hand_over(at_work)
        await self._drop_unwanted()

    async def _step(self, build: BuildJob) -> bool:
        """Show that somebody works; tell whether to hold. Raises Cancelled and _StandDown."""
        if self._wanted().pauses:
            raise _StandDown
        return await beat(await self._lease.connection(), build)

    async def _swap(self, build: BuildJob, generation: ReadModel, at_work: CatchingUp) -> None:
        while True:
            at_work.check()
            hold = await self._step(build)
            conn = await self._lease.connection()
            blocked_by = [] if hold else await view_holders(conn, generation.views, READERS_WITHIN)
            if not (hold or blocked_by):
                self._swapping, self._blocked_by = conn.get_server_pid(), []
                try:
                    if await try_swap(conn, build, generation, self._topic, at_work):
                        return
                except asyncpg.LockNotAvailableError:
                    blocked_by = self._blocked_by
                finally:
                    self._swapping = None
            if blocked_by:
                log.warning("build.swap_blocked", build=build.id, blocked_by=blocked_by)
            await tell_blocked(conn, build, blocked_by)
            await asyncio.sleep(LOOK_INTERVAL)

    async def look(self, conn: asyncpg.Connection) -> None:
        """See, over another connection than the swap's, whose locks a swap waits for."""
        if self._swapping is not None:
            self._blocked_by = await who_blocks(conn, self._swapping) or self._blocked_by

    async def _hand_over(self, at_work: CatchingUp) -> None:
        """Go on until the read model's own group has the new generation, and so has fenced us."""
        before = await at_work.epochs()
        for _ in range(int(TAKEN_OVER_WITHIN / LOOK_INTERVAL)):
            if at_work.ended or self._wanted().pauses:
                return
            await asyncio.sleep(LOOK_INTERVAL)
            epochs = await at_work.epochs()
            if all(epochs[partition] > epoch for partition, epoch in before.items()):
                return

    async def _drop_unwanted(self) -> None:
        """Drop the generations nobody wants; one that a reader still holds is dropped later."""
        conn = await self._lease.connection()
        name = self._read_model.name
        found = await read_generations(conn, name)
        unwanted = {each.generation for each in found if each.drop_requested and each.state != "live"}
        for generation in sorted(unwanted - self._kept):
            try:
                async with conn.transaction():
                    await conn.execute("SET LOCAL lock_timeout = '2s'")
                    await conn.execute(LOCK_GENERATIONS)
                    await drop_generation(conn, name, generation)
            except asyncpg.DependentObjectsStillExistError as error:
                self._kept.add(generation)
                log.warning("generation.kept", generation=generation, reason=str(error), detail=error.detail)
            else:
                log.info("generation.dropped", generation=generation)


def _may_pass(error: BaseException) -> bool:
    return is_passing(error) or isinstance(error, ConsumerEnded)
