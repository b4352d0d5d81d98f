"""Walks the log in pages, each in a short transaction, and compares every order."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence

import asyncpg
from aiokafka.errors import KafkaError

from eventstore import EventStore, NewerSchema, StoredEvent, StreamKey
from messaging import KafkaConnection, Topics
from operations.errors import CouldNotCheck
from operations.verify.findings import LOG, Findings, Mismatch
from operations.verify.folding import FoldedOrder
from operations.verify.rows import compared
from operations.verify.settling import caught_up
from operations.verify.summed import check_sums, check_views
from orders import ORDER, Order
from readmodels import READ_MODELS
from readmodels.generations import live_generations
from readmodels.order_tables import OrderTables
from readmodels.parked import ParkedOrders

# Orders in one transaction: some thousands of events.
PAGE = 200
# Of each read model, orders that are kept in mind because they lag; beyond them they are only counted.
REMEMBERED = 100_000

Tell = Callable[[int], None]


async def verify_read_models(
    conn: asyncpg.Connection,
    kafka: KafkaConnection,
    topics: Topics,
    names: Collection[str],
    findings: Findings,
    *,
    patience: float,
    tell: Tell,
) -> None:
    """Check that the log is whole and that each read model's rows are what it folds to.

    A row is compared with the fold at the row's own version, so one that lags but is right is no difference.
    Orders that lag are looked at again once the read model has applied what was stored then; `patience` is
    for how many seconds that is waited for. `tell` gets the number of orders done.
    What is found by then is in `findings` whatever is raised: CouldNotCheck, KafkaError, OSError, or one of
    asyncpg's errors.
    """
    verification = _Verification(conn, await _live(conn, names), findings)
    try:
        await verification.walk(tell)
        if any(verification.behind.values()):
            await verification.look_again(kafka, topics.events, patience)
        for tables in verification.tables:
            await check_views(conn, tables.live, findings)
        for tables in verification.tables:
            await check_sums(conn, tables.live, topics.events, findings)
    except NewerSchema as error:
        raise CouldNotCheck(f"the log was written by a newer build than this: {error}") from error
    finally:
        await _forget_replaced(conn, verification)


async def _forget_replaced(conn: asyncpg.Connection, verification: _Verification) -> None:
    """Forget what was found in generations that are no longer live: they stand still, and prove nothing."""
    generations = {name: each.generation for name, each in (await live_generations(conn)).items()}
    replaced = [
        tables.live.name
        for tables in verification.tables
        if generations.get(tables.live.name) != tables.live.generation
    ]
    for name in replaced:
        verification.findings.forget(name)
    if replaced:
        raise CouldNotCheck(f"a new generation of {', '.join(replaced)} went live meanwhile: verify again")


async def _live(conn: asyncpg.Connection, names: Collection[str]) -> dict[str, OrderTables]:
    generations = await live_generations(conn)
    found = {}
    for name in names:
        live, read_model = generations.get(name), READ_MODELS[name]
        if live is None:
            raise CouldNotCheck(f"{name} has no tables yet: its projector has not started")
        if live.version != read_model.version:
            raise CouldNotCheck(
                f"the tables of {name} were made by its version {live.version}, "
                f"and this build has version {read_model.version}"
            )
        found[name] = OrderTables(read_model, live.generation)
    return found


class _Verification:
    def __init__(
        self, conn: asyncpg.Connection, tables: Mapping[str, OrderTables], findings: Findings
    ) -> None:
        self._conn = conn
        self._store: EventStore[Order] = EventStore(ORDER)
        self.tables = list(tables.values())
        self.findings = findings
        # Read model → order → the version in the log when it was seen to lag.
        self.behind: dict[str, dict[StreamKey, int]] = {name: {} for name in tables}

    async def walk(self, tell: Tell) -> None:
        """Compare all orders of the log, and look for rows of orders that it doesn't have."""
        done, after = 0, None
        for name in (LOG, *self.behind):
            self.findings.at(name)
        while True:
            async with self._conn.transaction(isolation="repeatable_read", readonly=True):
                page = await self._store.streams(self._conn, after, PAGE)
                if page:
                    await self._compare(dict(page))
            if not page:
                break
            after = page[-1][0]
            done += len(page)
            tell(done)
        for tables in self.tables:
            async for key in tables.strangers(self._conn):
                self.findings.differ(
                    Mismatch(tables.live.name, "it has rows of an order that is not in the log", key)
                )

    async def look_again(self, kafka: KafkaConnection, topic: str, patience: float) -> None:
        """Compare those that lagged once more, when they must have come."""
        for tables in self.tables:
            await self._set_parked_aside(tables)
        late = [tables for tables in self.tables if self.behind[tables.live.name]]
        if not late:
            return
        try:
            level = await caught_up(
                self._conn, kafka, topic, [tables.live for tables in late], time.monotonic() + patience
            )
        except (KafkaError, OSError):
            # What was found is told all the same; these were not seen to catch up.
            level = set()
        for tables in late:
            noted = self.behind[tables.live.name]
            keys = list(noted)
            for start in range(0, len(keys), PAGE):
                page = keys[start : start + PAGE]
                versions = await tables.versions(self._conn, page)
                came = [key for key in page if versions.get(key, 0) >= noted[key]]
                for key in page:
                    if versions.get(key, 0) >= noted[key]:
                        continue
                    if tables.live.name in level:
                        await self._differ_behind(tables, key, versions.get(key, 0))
                    else:
                        self.findings.at(tables.live.name).behind += 1
                # Those that came meanwhile must also be right.
                async with self._conn.transaction(isolation="repeatable_read", readonly=True):
                    await self._compare(came, tables)

    async def _set_parked_aside(self, tables: OrderTables) -> None:
        name = tables.live.name
        for key in await ParkedOrders(name, tables.live.generation).on(self._conn):
            if self.behind[name].pop(StreamKey(*key), None) is not None:
                self.findings.at(name).parked += 1

    async def _differ_behind(self, tables: OrderTables, key: StreamKey, applied: int) -> None:
        due = self.behind[tables.live.name][key]
        history = (await self._store.histories(self._conn, {key: (0, due)}))[key]
        rows = (await tables.rows(self._conn, [key]))[key]
        what = f"it is at version {applied}, and should have applied version {due}"
        fields = compared(rows, FoldedOrder(key, history).rows(tables.read_model, due))
        self.findings.differ(Mismatch(tables.live.name, what, key, fields))

    async def _compare(self, keys: Collection[StreamKey], only: OrderTables | None = None) -> None:
        """Compare some orders; `only` one read model when it is not the first time."""
        histories = await self._store.histories(self._conn, dict.fromkeys(keys, (0, None)))
        folded = {}
        for key, history in histories.items():
            problem, order = _folded(key, history)
            if order is not None:
                folded[key] = order
            elif only is None:
                self.findings.differ(Mismatch(LOG, problem, key))
        if only is None:
            self.findings.at(LOG).checked += len(histories)
        for tables in self.tables if only is None else [only]:
            await self._compare_rows(tables, folded, again=only is not None)

    async def _compare_rows(
        self, tables: OrderTables, folded: Mapping[StreamKey, FoldedOrder], *, again: bool
    ) -> None:
        if not folded:
            return
        name = tables.live.name
        versions = await tables.versions(self._conn, list(folded))
        rows = await tables.rows(self._conn, list(folded))
        tally = self.findings.at(name)
        for key, order in folded.items():
            applied, there = versions.get(key, 0), rows[key]
            if not again:
                tally.checked += 1
            if applied > order.version:
                what = f"it is at version {applied}, and the log has {order.version}"
                self.findings.differ(Mismatch(name, what, key, compared(there, [])))
            elif fields := compared(there, order.rows(tables.read_model, applied)):
                what = f"at version {applied} it is not what the log folds to"
                self.findings.differ(Mismatch(name, what, key, fields))
            elif applied < order.version and not again:
                if len(self.behind[name]) < REMEMBERED:
                    self.behind[name][key] = order.version
                else:
                    tally.behind += 1


def _folded(key: StreamKey, history: Sequence[StoredEvent]) -> tuple[str, FoldedOrder | None]:
    """Return an order's fold, or what is wrong with its events."""
    for due, event in enumerate(history, start=1):
        if event.version != due:
            return f"version {event.version} stands where version {due} should", None
    try:
        return "", FoldedOrder(key, history)
    except (ArithmeticError, AssertionError, LookupError, TypeError, ValueError) as error:
        return f"its events can't be folded: {error!r}", None
