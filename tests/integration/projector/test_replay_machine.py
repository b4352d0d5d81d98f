"""Read models against the fold of the log, through histories that Hypothesis makes up.

Orders change, the topic repeats itself and loses records, offsets are reset by any of Kafka's scenarios,
groups and checkpoints are lost, and projectors die before any of their statements: whenever they rest,
each read model is what a fold of the log gives. The database is real; the topic is a list.
"""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from aiokafka import TopicPartition
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test
from pydantic import SecretStr

from eventstore import EventStore
from integration.projector.consuming import Consumer, all_records
from integration.projector.order_log import (
    CONFIRM,
    PARTITIONS,
    TOPIC,
    VOID,
    OrderLog,
    create,
    item,
    order_key,
    random_log,
)
from integration.projector.reading import NAMES, expected, rows
from integration.projector.spoiling import spoil
from messaging import Committed, TopicFacts
from operations.errors import OperationRefused
from operations.replay import Offsets, Scenario, ScenarioKind, aims
from operations.replay.forecast import EFFECTS, foretell
from orders import ORDER, Rejected
from orders.commands import (
    ApplyDiscount,
    ApplyLineDiscount,
    ChangeItemQuantity,
    CommandData,
    RedoLastChange,
    RemoveItem,
    UndoLastChange,
)
from projector import refolding
from projector.handler import Projector
from projector.projection import Projection
from readmodels import READ_MODELS
from readmodels.checkpoints import Checkpoints, live_checkpoints
from readmodels.generations import open_live
from runtime import Database

TOPIC_ID = UUID(int=1)
NUMBERS = range(PARTITIONS)
COMMANDS: list[CommandData] = [
    create(),
    item("3"),
    item("7", "2"),
    ChangeItemQuantity(line_id="1", quantity="4"),
    RemoveItem(line_id="1"),
    ApplyLineDiscount(line_id="1", percent="10", authorised_by="bob"),
    ApplyDiscount(percent="25", authorised_by="bob"),
    UndoLastChange(),
    RedoLastChange(),
    CONFIRM,
    VOID,
]
# At rest nothing is left of an example, but the empty tables of each read model.
EMPTY = """
DO $$
DECLARE each text;
BEGIN
    FOR each IN
        SELECT format('%I.%I', schemaname, tablename) FROM pg_tables
        WHERE schemaname = 'projections' AND tablename <> 'generations'
            OR schemaname = 'public' AND tablename IN ('order_events', 'order_snapshots')
    LOOP
        EXECUTE 'DELETE FROM ' || each;
    END LOOP;
END
$$
"""
# None: it lives. A number: it dies before that statement, BEGIN, COMMIT and ROLLBACK included.
DEATHS = st.none() | st.integers(0, 60)
SOME_PARTITIONS = st.none() | st.frozensets(st.sampled_from(NUMBERS), min_size=1)
OFFSETS = st.integers(0, 60)
SCENARIOS = st.one_of(
    st.builds(
        Scenario,
        st.sampled_from([kind for kind in ScenarioKind if kind is not ScenarioKind.FILE]),
        SOME_PARTITIONS,
        st.integers(-20, 60),
    ),
    st.builds(
        Scenario,
        st.just(ScenarioKind.FILE),
        offsets=st.dictionaries(st.sampled_from(NUMBERS), OFFSETS, min_size=1),
    ),
)


class Killed(BaseException):
    """What kill -9 is to a coroutine: nothing that it could do anything about."""


class Death:
    """Counts statements down and kills whoever is at the last; before that, and without a number, nobody."""

    def __init__(self) -> None:
        self.left: int | None = None

    @contextmanager
    def after(self, statements: int | None) -> Iterator[None]:
        self.left = statements
        try:
            yield
        finally:
            self.left = None

    def strikes(self, call: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(call)
        async def mortal(*arguments: Any, **keywords: Any) -> Any:
            if self.left is not None:
                if self.left <= 0:
                    raise Killed
                self.left -= 1
            return await call(*arguments, **keywords)

        return mortal


class World:
    """What all examples share: the database, an event loop, and death."""

    def __init__(self, database: Any, runner: asyncio.Runner, death: Death) -> None:
        self.run = runner.run
        self.death = death
        self.dsn = database.dsn("projector")
        self.admin: asyncpg.Connection = self.run(asyncpg.connect(database.dsn()))
        for table in ("order_events", "order_snapshots"):
            self.run(self.admin.execute(f"ALTER TABLE {table} DISABLE TRIGGER ALL"))


class ReplayMachine(RuleBasedStateMachine):
    """One read model, its topic, its group's offsets, and the process that keeps it."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self.world = world
        self.log = OrderLog()
        self.name = ""
        self.committed: dict[TopicPartition, Committed] = {}
        self.beginnings: dict[TopicPartition, int] = {}
        self.database = Database(SecretStr(world.dsn), "test")
        self.consumer: Consumer

    @initialize(name=st.sampled_from(NAMES), seed=st.integers(0, 99), at_once=st.integers(1, 40))
    def begin(self, name: str, seed: int, at_once: int) -> None:
        """Begin with some orders that are applied: else there is little to rewind."""
        self.world.run(self.world.admin.execute(EMPTY))
        self.name = name
        self.log = random_log(6, seed)
        self.world.run(self.log.store(self.world.admin))
        self._start()
        self.world.run(self.consumer.drain(at_once))

    @rule(
        happening=st.lists(st.tuples(st.integers(0, 7), st.sampled_from(COMMANDS)), min_size=1, max_size=12)
    )
    def commands(self, happening: list[tuple[int, CommandData]]) -> None:
        self._happen(happening)

    @rule(number=st.sampled_from(NUMBERS), start=OFFSETS, count=st.integers(1, 8))
    def the_relay_repeats(self, number: int, start: int, count: int) -> None:
        self.log.repeat(TopicPartition(TOPIC, number), start, start + count)

    @rule(at_once=st.integers(1, 9), commit=st.booleans(), dies=DEATHS)
    def works(self, at_once: int, commit: bool, dies: int | None) -> None:
        self._mortally(self.consumer.step(at_once, commit=commit), dies)
        if not commit:
            # Between the database's commit and Kafka's.
            self._stop(clean=False)
            self._start()

    @rule(clean=st.booleans(), dies=DEATHS)
    def restarts(self, clean: bool, dies: int | None) -> None:
        self._stop(clean=clean)
        self._start(dies)

    @rule(scenario=SCENARIOS, at_time=st.none() | OFFSETS, clean=st.booleans(), dies=DEATHS)
    def is_reset(self, scenario: Scenario, at_time: int | None, clean: bool, dies: int | None) -> None:
        """Reset offsets as Kafka's tool and till do; what a rewind is to put right is wrong before it."""
        self._stop(clean=clean)
        topic = {n: self._offsets(n, at_time) for n in NUMBERS}
        try:
            targets = aims(scenario, topic)
        except OperationRefused:
            # A shift from nowhere.
            self._start(dies)
            return
        _, found = self.world.run(live_checkpoints(self.world.admin, self.name, TOPIC))
        foretold = {n: foretell(to, topic[n], found[n], TOPIC_ID) for n, to in targets.items()}
        effects = {n: EFFECTS[decision.case] for n, decision in foretold.items()}
        for n, to in targets.items():
            self.committed[TopicPartition(TOPIC, n)] = Committed(to, ours=False)
            if effects[n].rewinds:
                self.world.run(spoil(self.world.admin, self.name, n, to if to > topic[n].beginning else 0))
        self._start(dies)
        for n, to in targets.items():
            here = max(found[n].next_offset, topic[n].beginning)
            goes_on = self.consumer.positions[TopicPartition(TOPIC, n)]
            assert goes_on == (to if effects[n].rewinds else here) == foretold[n].offset

    @rule(partitions=SOME_PARTITIONS)
    def offsets_are_lost(self, partitions: frozenset[int] | None) -> None:
        """Delete the group, or let it expire, or some of its offsets."""
        self._stop(clean=True)
        for number in partitions or NUMBERS:
            self.committed.pop(TopicPartition(TOPIC, number), None)
        self._start()

    @rule(partitions=SOME_PARTITIONS, dies=DEATHS)
    def checkpoints_are_lost(self, partitions: frozenset[int] | None, dies: int | None) -> None:
        self._stop(clean=False)
        self.world.run(
            self.world.admin.execute(
                "DELETE FROM projections.checkpoints WHERE partition = ANY ($1)", list(partitions or NUMBERS)
            )
        )
        self._start(dies)

    @rule(number=st.sampled_from(NUMBERS), records=st.integers(1, 60), dies=DEATHS)
    def retention_takes_records(self, number: int, records: int, dies: int | None) -> None:
        self._stop(clean=True)
        partition = TopicPartition(TOPIC, number)
        taken = self.beginnings.get(partition, 0) + records
        self.beginnings[partition] = min(taken, len(self.log.records[partition]))
        self._start(dies)

    @rule(at_once=st.integers(1, 40))
    def comes_to_rest(self, at_once: int) -> None:
        self.world.run(self.consumer.drain(at_once))
        for view in (self.name, *READ_MODELS[self.name].further_views):
            assert self.world.run(rows(self.world.admin, view)) == expected(view, self.log)

    def teardown(self) -> None:
        """Come to rest, whatever happened."""
        try:
            if self.name:
                self.comes_to_rest(40)
                self._stop(clean=True)
                left = "SELECT count(*) FROM projections.checkpoints WHERE refolding"
                assert self.world.run(self.world.admin.fetchval(left)) == 0
                parked = "SELECT count(*) FROM projections.parked"
                assert self.world.run(self.world.admin.fetchval(parked)) == 0
        finally:
            self.world.run(self.database.close())

    def _offsets(self, number: int, at_time: int | None) -> Offsets:
        partition = TopicPartition(TOPIC, number)
        beginning, end = self.beginnings.get(partition, 0), len(self.log.records[partition])
        committed = self.committed.get(partition)
        return Offsets(
            beginning,
            end,
            None if committed is None else committed.offset,
            None if at_time is None or at_time >= end else max(beginning, at_time),
        )

    def _happen(self, happening: list[tuple[int, CommandData]]) -> None:
        for number, command in happening:
            known = list(self.log.orders)
            key = known[number] if number < len(known) else order_key(f"new {number}")
            try:
                self.log.do(key, command)
            except Rejected:
                continue
        if self.log.unstored:
            self.world.run(self.log.store(self.world.admin))

    def _stop(self, *, clean: bool) -> None:
        if clean:
            self.world.run(self.consumer.projector.revoked())
        else:
            self._bury()

    def _bury(self) -> None:
        """Leave nothing of a dead process that could still do something."""
        retrying = self.consumer.projector._retrying
        if retrying is not None:
            retrying.cancel()
        self.database.discard()

    def _start(self, dies: int | None = None) -> None:
        self._mortally(self._assign(), dies)

    async def _assign(self) -> None:
        read_model = await open_live(await self.database.connection(), READ_MODELS[self.name])
        checkpoints = Checkpoints(self.name, read_model.generation, TOPIC)

        async def topic() -> TopicFacts:
            return TopicFacts(TOPIC_ID, PARTITIONS)

        projector = Projector(
            self.database,
            read_model,
            Projection(read_model, EventStore(ORDER)),
            checkpoints,
            topic,
            is_without_records=all_records,
            parked_limit=100,
        )
        self.consumer = Consumer(self.log, projector, self.committed, beginnings=self.beginnings)
        await self.consumer.assign()

    def _mortally(self, doing: Any, dies: int | None) -> None:
        """Do something and die at it, perhaps; whoever died is followed by another."""
        try:
            with self.world.death.after(dies):
                self.world.run(doing)
        except Killed:
            self._bury()
            self.world.run(self._assign())


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_read_models_equal_the_fold_after_any_history(database: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever was reset, lost, repeated or killed in whichever order, a read model at rest is the fold."""
    assert_the_machine_holds(database, monkeypatch, examples=150, steps=40)


def test_read_models_equal_the_fold_after_short_histories(
    database: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same for few examples: `make faults` runs many."""
    assert_the_machine_holds(database, monkeypatch, examples=8, steps=15)


def assert_the_machine_holds(
    database: Any, monkeypatch: pytest.MonkeyPatch, *, examples: int, steps: int
) -> None:
    death = Death()
    for call in ("execute", "executemany", "fetch", "fetchrow", "fetchval"):
        monkeypatch.setattr(asyncpg.Connection, call, death.strikes(getattr(asyncpg.Connection, call)))
    # A few orders take several pages.
    monkeypatch.setattr(refolding, "REFOLDED_AT_ONCE", 2)
    monkeypatch.setattr(refolding, "LOOKED_AT_AT_ONCE", 3)
    with asyncio.Runner() as runner:
        world = World(database, runner, death)
        try:
            run_state_machine_as_test(
                lambda: ReplayMachine(world),  # type: ignore[arg-type] # a factory, as Hypothesis's docs have it
                settings=settings(
                    max_examples=examples,
                    stateful_step_count=steps,
                    deadline=None,
                    # A step is some statements on a real database: slow by Hypothesis's measure.
                    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
                ),
            )
        finally:
            runner.run(world.admin.close())
