"""As of a moment: what the queries answer is what the log folds to when it is cut off there."""

import asyncio
from collections.abc import Mapping
from dataclasses import astuple
from datetime import datetime, timedelta
from random import Random
from typing import Any, NamedTuple
from uuid import UUID

import asyncpg
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from eventstore import StreamKey
from integration.queries import cut_logs
from integration.queries.cut_logs import Span
from integration.queries.late_orders import STORE, keys, live, pieces, store
from queries import Clock, SalesGroup, process_map, product_quantities, sales
from readmodels import READ_MODELS, AppliedEvent, ReadModel
from readmodels.generations import open_live

ORDERS = 12
FED = ("sales", "product_movements", "process_steps")


Log = Mapping[UUID, list[cut_logs.Logged]]


class Question(NamedTuple):
    """What is asked of sales and products: as of when (None: now), by which clock, of which days."""

    moment: datetime | None
    clock: Clock
    days: Span


class World:
    """A database of random orders, with the read models that queries about the past need."""

    def __init__(self, dsn: Mapping[str, str], runner: asyncio.Runner) -> None:
        self.run = runner.run
        self.admin, self.projector, self.query = (
            runner.run(asyncpg.connect(dsn[role])) for role in ("postgres", "projector", "query")
        )
        self.models: list[ReadModel] = [
            runner.run(open_live(self.projector, READ_MODELS[name])) for name in FED
        ]
        self.examples = 0
        # Thousands of small appends, none of which has to outlive a crash.
        self.run(self.admin.execute("SET synchronous_commit = off"))

    async def fill(self, rng: Random) -> dict[StreamKey, list[AppliedEvent]]:
        """Store the orders of a new tenant, and have the read models written as a projector does."""
        self.examples += 1
        orders = {key: live(rng, key) for key in keys(f"store-{self.examples}", ORDERS)}
        await store(self.admin, orders, rng)
        for model in self.models:
            for batch in pieces(orders, rng):
                await model.write(self.projector, batch)
        return orders

    async def check_sales(self, tenant_id: str, log: Log, question: Question, rng: Random) -> None:
        moment, clock, days = question
        folded = [
            cut_logs.fold(tenant_id, order_id, cut_logs.cut(events, moment, clock))
            for order_id, events in log.items()
        ]
        groups = rng.sample(list(SalesGroup), rng.randint(0, 3))
        span: dict[str, Any] = {"day_from": days.first, "day_to": days.last, "as_of": moment, "clock": clock}
        found = await sales(self.query, tenant_id, group_by=groups, **span)
        assert [astuple(row) for row in found] == cut_logs.sales(folded, groups, days)
        for product_id in (None, rng.choice(["pear", "tea", "7", "none"])):
            sold = await product_quantities(self.query, tenant_id, product_id=product_id, **span)
            assert [(row.product_id, row.currency, *astuple(row)[3:]) for row in sold.items] == (
                cut_logs.products(folded, days, product_id)
            )

    async def check_orders(self, tenant_id: str, log: Log, moment: datetime, clock: Clock) -> None:
        for order_id, events in list(log.items())[::3]:
            key = StreamKey(tenant_id, order_id)
            prefix = cut_logs.cut(events, moment, clock)
            loaded = await STORE.load_as_of(self.query, key, moment, clock.value)
            assert loaded.state == cut_logs.fold(tenant_id, order_id, prefix)
            version = len(prefix)
            assert (await STORE.load_at_version(self.query, key, version)).state == loaded.state

    async def check_process(self, tenant_id: str, log: Log, days: Span) -> None:
        found = await process_map(self.query, tenant_id, day_from=days.first, day_to=days.last)
        due = cut_logs.edges(log, days)
        assert {(edge.from_type, edge.to_type): edge.count for edge in found.edges} == {
            edge: count for edge, (count, _, _) in due.items()
        }
        for edge in found.edges:
            _, median, p95 = due[edge.from_type, edge.to_type]
            assert abs(edge.median - median) <= timedelta(microseconds=1)
            assert abs(edge.p95 - p95) <= timedelta(microseconds=1)
        assert (found.starts, found.ends) == cut_logs.starts_and_ends(log, days)
        assert [edge.count for edge in found.edges] == sorted(
            (edge.count for edge in found.edges), reverse=True
        )

    def close(self) -> None:
        for conn in (self.admin, self.projector, self.query):
            self.run(conn.close())


def spans(log: Log) -> list[Span]:
    """Give all days, and what begins or ends at the first and the last day there is, or beside them."""
    days = [event.business_day for events in log.values() for event in events]
    first, last, day = min(days), max(days), timedelta(days=1)
    beside = [
        Span(first + day, None),
        Span(None, last - day),
        Span(last + day, None),
        Span(last, first - day),
    ]
    return [Span(), Span(first, last), Span(first, first), Span(last, last), *beside]


def moments(rng: Random, orders: Mapping[Any, list[AppliedEvent]]) -> list[datetime]:
    """Give moments at, just before and just after an event, and between."""
    events = [applied for of_order in orders.values() for applied in of_order]
    times = [
        time
        for applied in rng.sample(events, 2)
        for time in (applied.provenance.recorded_at, applied.event.occurred_at)
    ]
    return [time + timedelta(microseconds=rng.choice([-1, 0, 1, 90_000_000])) for time in times]


@pytest.mark.parametrize("examples", [12, pytest.param(300, marks=pytest.mark.long)])
@pytest.mark.timeout(900)
def test_what_was_is_the_fold_of_the_log_cut_off_there(database: Any, examples: int) -> None:
    """Sales, products, orders and the process map equal an independent fold, late events included."""
    dsn = {role: database.dsn(role) for role in ("postgres", "projector", "query")}
    with asyncio.Runner() as runner:
        world = World(dsn, runner)

        # An example is a shop's day made of one random stream: there is no smaller one worth the search.
        @settings(
            max_examples=examples,
            deadline=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(rng=st.randoms(use_true_random=False))
        def holds(rng: Random) -> None:
            orders = world.run(world.fill(rng))
            tenant_id = next(iter(orders)).tenant_id
            log = world.run(cut_logs.read_log(world.admin, tenant_id))
            for days in spans(log):
                question = Question(None, Clock.recorded, days)
                world.run(world.check_sales(tenant_id, log, question, rng))
                world.run(world.check_process(tenant_id, log, days))
            for moment in moments(rng, orders):
                for clock in Clock:
                    question = Question(moment, clock, rng.choice(spans(log)))
                    world.run(world.check_sales(tenant_id, log, question, rng))
                clock = rng.choice(list(Clock))
                world.run(world.check_orders(tenant_id, log, moment, clock))

        try:
            holds()
        finally:
            world.close()
