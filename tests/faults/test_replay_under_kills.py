"""A million events are replayed while the projector is killed a hundred times."""

import asyncio
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from commands import ORDERS
from faults.many_orders import many_orders, send, store
from harness.groups import expel, last_decision, rewind, rewound
from harness.installation import Installation
from harness.waiting import eventually
from integration.projector.reading import rows, summaries
from messaging import KafkaConnection, TopicReader, Topics
from messaging.topics import PARTITIONS

EVENTS, KILLS = 1_000_000, 100
NAME = "order_summary"
DEADLINE = 3000.0
FORKING = Path(__file__).with_name("forking.py")
KEPT = "CREATE TABLE public.kept AS TABLE projections.order_summary_1"
# Beside which transaction wrote a row.
OTHERWISE = """
SELECT k AS was, o AS now
FROM public.kept AS k FULL JOIN projections.order_summary_1 AS o USING (tenant_id, order_id)
WHERE (to_jsonb(k) - 'changed')::text IS DISTINCT FROM (to_jsonb(o) - 'changed')::text
ORDER BY tenant_id, order_id LIMIT 5
"""
# Moves with each batch applied and each page of orders folded again.
LEVEL = """
SELECT array_agg(next_offset ORDER BY partition) FROM projections.checkpoints WHERE NOT refolding
"""
# Moves with each assignment, each batch applied and each page of orders folded again.
PLACE = """
SELECT string_agg(format('%s %s %s', epoch, next_offset, refolded_order), ',' ORDER BY partition)
FROM projections.checkpoints
"""
REFOLDING = "SELECT bool_or(refolding) FROM projections.checkpoints"


class Projectors:
    """One projector process after the other, forked so that a start costs little."""

    def __init__(self, installation: Installation, log: Path) -> None:
        environment = {
            **os.environ,
            "TILLSTREAM_KAFKA_BOOTSTRAP_SERVERS": installation.bootstrap_servers,
            "TILLSTREAM_TOPIC_PREFIX": installation.prefix,
            "TILLSTREAM_DATABASE_URL": installation.database_url("projector"),
            "TILLSTREAM_BATCH_RECORDS": "2000",
            "TILLSTREAM_LOG_LEVEL": "WARNING",
        }
        with log.open("ab") as output:
            self._forking = subprocess.Popen(
                [sys.executable, str(FORKING), "projector", NAME],
                env=environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=output,
                text=True,
            )
        self.running = 0

    def start(self) -> None:
        """Start a process."""
        assert self._forking.stdin is not None
        assert self._forking.stdout is not None
        self._forking.stdin.write("\n")
        self._forking.stdin.flush()
        self.running = int(self._forking.stdout.readline())

    async def end(self, how: signal.Signals) -> None:
        """End the process, and wait until it is gone."""
        os.kill(self.running, how)

        async def gone() -> bool:
            try:
                os.kill(self.running, 0)
            except ProcessLookupError:
                return True
            return False

        await eventually(gone)

    def alive(self) -> bool:
        """Tell whether the process still runs."""
        try:
            os.kill(self.running, 0)
        except ProcessLookupError:
            return False
        return True

    def close(self) -> None:
        """End whatever runs."""
        if self.running and self.alive():
            os.kill(self.running, signal.SIGKILL)
        self._forking.kill()
        self._forking.wait()


@contextmanager
def projectors(installation: Installation) -> Iterator[Projectors]:
    started = Projectors(installation, installation.folder / "projector.log")
    try:
        yield started
    finally:
        started.close()


@dataclass
class Replay:
    """A replay of all there is, again and again if need be."""

    conn: asyncpg.Connection
    installation: Installation
    projectors: Projectors
    sent: list[int]
    rewinds: int = 0
    kills_refolding: int = 0

    @property
    def topics(self) -> Topics:
        return ORDERS.topics(self.installation.prefix)

    @property
    def group(self) -> str:
        return self.topics.group(f"projector.{NAME}")

    async def level(self) -> bool:
        """Tell whether all events are applied."""
        log = self.installation.folder / "projector.log"
        assert self.projectors.alive(), log.read_text()[-4000:]
        return bool(await self.conn.fetchval(LEVEL) == self.sent)

    async def begin(self) -> None:
        """Rewind the group of a stopped projector, and start one that has decided so on every partition."""
        since = await last_decision(self.conn)
        await rewind(self.installation.bootstrap_servers, self.group, self.topics.events)
        self.projectors.start()

        async def decided() -> bool:
            return await rewound(self.conn, NAME, since) == set(range(PARTITIONS))

        await eventually(decided, deadline=DEADLINE)
        self.rewinds += 1

    async def moved(self, place: str) -> None:
        """Wait until something was done since."""

        async def done() -> bool:
            return bool(await self.conn.fetchval(PLACE) != place)

        await eventually(done, deadline=DEADLINE)

    async def under_kills(self) -> None:
        """Kill at random, in turn at work and anywhere: start and assignment included."""
        rng = random.Random(7)  # noqa: S311 - repeatable

        async def folded() -> bool:
            return not await self.conn.fetchval(REFOLDING)

        for number in range(KILLS):
            if number == KILLS // 2:
                # The other half dies while it reads the topic.
                await eventually(folded, deadline=DEADLINE)
            if number % 2 == 0:
                await self.moved(await self.conn.fetchval(PLACE))
                await asyncio.sleep(rng.uniform(0, 0.5))
            else:
                await asyncio.sleep(rng.uniform(0, 1.5))
            if await self.level():
                await self.projectors.end(signal.SIGTERM)
                await self.begin()
            await self.projectors.end(signal.SIGKILL)
            self.kills_refolding += await self.conn.fetchval(REFOLDING)
            await expel(self.installation.bootstrap_servers, self.group)
            self.projectors.start()


async def ends(installation: Installation) -> dict[str, Any]:
    """Give where all partitions of all topics end."""
    kafka, topics = KafkaConnection(installation.bootstrap_servers), ORDERS.topics(installation.prefix)
    found = {}
    for topic in topics.configurations():
        async with TopicReader.open(kafka, topic) as reader:
            found[topic] = dict(reader.ends)
    return found


@pytest.mark.long
@pytest.mark.timeout(7200)
async def test_a_million_events_replayed_under_a_hundred_kills(installation: Installation) -> None:
    """After a rewind under a hundred kills the tables are what they were, and nothing was published."""
    began = time.monotonic()
    conn = await asyncpg.connect(installation.database_url("postgres"), command_timeout=600)
    copies = many_orders(EVENTS)
    count = await store(conn, copies)
    topic = ORDERS.topics(installation.prefix).events
    sent = await send(installation.bootstrap_servers, topic, PARTITIONS, copies)
    assert sum(sent) == count >= EVENTS
    loaded = time.monotonic()
    with projectors(installation) as running:
        replay = Replay(conn, installation, running, sent)
        running.start()
        await eventually(replay.level, deadline=DEADLINE)
        await running.end(signal.SIGTERM)
        projected = time.monotonic()
        assert await rows(conn, NAME) == summaries(copy.order for copy in copies)
        await conn.execute(KEPT)
        topics_end = await ends(installation)
        # What a replay is to put right.
        spoiled = "UPDATE projections.order_summary_1 SET total = total + 1 WHERE order_id::text < '1'"
        await conn.execute(spoiled)
        assert await conn.fetch(OTHERWISE)

        rewound = time.monotonic()
        await replay.begin()
        await replay.under_kills()
        await eventually(replay.level, deadline=DEADLINE)
        seconds = time.monotonic() - rewound
        await running.end(signal.SIGTERM)
    assert await conn.fetch("SELECT * FROM projections.parked") == []
    assert await conn.fetch(OTHERWISE) == []
    assert await ends(installation) == topics_end
    await conn.close()
    sys.stderr.write(
        f"\n{count:,} events of {len(copies):,} orders loaded in {loaded - began:.0f} s,"
        f" projected in {projected - loaded:.0f} s ({count / (projected - loaded):,.0f}/s);"
        f" replayed {replay.rewinds} times under {KILLS} kills ({replay.kills_refolding} of them"
        f" while orders were folded again) in {seconds:.0f} s ({replay.rewinds * count / seconds:,.0f}/s)\n"
    )
    assert 0 < replay.kills_refolding < KILLS
