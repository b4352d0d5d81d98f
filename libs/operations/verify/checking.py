"""Walks the log in pages, each in a short transaction, and compares every order."""

import time
from collections.abc import Callable, Collection, Mapping, Sequence

import asyncpg
from aiokafka.errors import KafkaError

from eventstore import EventStore, NewerSchema, StoredEvent, StreamKey
from messaging import KafkaConnection, Topics
from operations.errors import CouldNotCheck
from operations.verify.findings import LOG, Findings, Mismatch
from operations.verify.rows import FoldedOrder, compared
from operations.verify.settling import caught_up
from operations.verify.summed import check_sums, check_views
from orders import ORDER, Order
from readmodels import READ_MODELS, ReadModel
from readmodels.generations import live_generations
from readmodels.order_rows import read_rows, strangers
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
        for live in verification.read_models:
            await check_views(conn, live, findings)
        for live in verification.read_models:
            await check_sums(conn, live, topics.events, findings)
    except NewerSchema as error:
        raise CouldNotCheck(f"the log was written by a newer build than this: {error}") from error
    finally:
        await _forget_replaced(conn, verification)


async def _forget_replaced(conn: asyncpg.Connection, verification: "_Verification") -> None:
    """Forget what was found in generations that are no longer live: they stand still, and prove nothing."""
    generations = {name: each.generation for name, each in (await live_generations(conn)).items()}
    replaced = [
        live.name for live in verification.read_models if generations.get(live.name) != live.generation
    ]
    for name in replaced:
        verification.findings.forget(name)
    if replaced:
        raise CouldNotCheck(f"a new generation of {', '.join(replaced)} went live meanwhile: verify again")


async def _live(conn: asyncpg.Connection, names: Collection[str]) -> list[ReadModel]:
    generations = await live_generations(conn)
    found = []
    for name in names:
        live, read_model = generations.get(name), READ_MODELS[name]
        if live is None:
            raise CouldNotCheck(f"{name} has no tables yet: its projector has not started")
        if live.version != read_model.version:
            raise CouldNotCheck(
                f"the tables of {name} were made by its version {live.version}, "
                f"and this build has version {read_model.version}"
            )
        found.append(read_model(live.generation))
    return found


class _Verification:
    def __init__(
        self, conn: asyncpg.Connection, read_models: Sequence[ReadModel], findings: Findings
    ) -> None:
        self._conn = conn
        self._store: EventStore[Order] = EventStore(ORDER)
        self.read_models = read_models
        self.findings = findings
        # Read model → order → the version in the log when it was seen to lag.
        self.behind: dict[str, dict[StreamKey, int]] = {each.name: {} for each in read_models}

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
        for live in self.read_models:
            async for key in strangers(self._conn, live):
                self.findings.differ(
                    Mismatch(live.name, "it has rows of an order that is not in the log", key)
                )

    async def look_again(self, kafka: KafkaConnection, topic: str, patience: float) -> None:
        """Compare those that lagged once more, when they must have come."""
        for live in self.read_models:
            await self._set_parked_aside(live)
        late = [live for live in self.read_models if self.behind[live.name]]
        if not late:
            return
        try:
            level = await caught_up(self._conn, kafka, topic, late, time.monotonic() + patience)
        except (KafkaError, OSError):
            # What was found is told all the same; these were not seen to catch up.
            level = set()
        for live in late:
            noted = self.behind[live.name]
            keys = list(noted)
            for start in range(0, len(keys), PAGE):
                page = keys[start : start + PAGE]
                versions = await live.applied_versions(self._conn, page)
                came = [key for key in page if versions.get(key, 0) >= noted[key]]
                for key in page:
                    if versions.get(key, 0) >= noted[key]:
                        continue
                    if live.name in level:
                        await self._differ_behind(live, key, versions.get(key, 0))
                    else:
                        self.findings.at(live.name).behind += 1
                # Those that came meanwhile must also be right.
                async with self._conn.transaction(isolation="repeatable_read", readonly=True):
                    await self._compare(came, live)

    async def _set_parked_aside(self, live: ReadModel) -> None:
        name = live.name
        for key in await ParkedOrders(name, live.generation).on(self._conn):
            if self.behind[name].pop(StreamKey(*key), None) is not None:
                self.findings.at(name).parked += 1

    async def _differ_behind(self, live: ReadModel, key: StreamKey, applied: int) -> None:
        due = self.behind[live.name][key]
        history = (await self._store.histories(self._conn, {key: (0, due)}))[key]
        rows = (await read_rows(self._conn, live, [key]))[key]
        what = f"it is at version {applied}, and should have applied version {due}"
        fields = compared(rows, FoldedOrder(key, history).rows(live, due))
        self.findings.differ(Mismatch(live.name, what, key, fields))

    async def _compare(self, keys: Collection[StreamKey], only: ReadModel | None = None) -> None:
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
        for live in self.read_models if only is None else [only]:
            await self._compare_rows(live, folded, again=only is not None)

    async def _compare_rows(
        self, live: ReadModel, folded: Mapping[StreamKey, FoldedOrder], *, again: bool
    ) -> None:
        if not folded:
            return
        name = live.name
        versions = await live.applied_versions(self._conn, list(folded))
        rows = await read_rows(self._conn, live, list(folded))
        tally = self.findings.at(name)
        for key, order in folded.items():
            applied, there = versions.get(key, 0), rows[key]
            if not again:
                tally.checked += 1
            if applied > order.version:
                what = f"it is at version {applied}, and the log has {order.version}"
                self.findings.differ(Mismatch(name, what, key, compared(there, [])))
            elif fields := compared(there, order.rows(live, applied)):
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
