"""Events that can't be applied, in every way there is, and how each is put right."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import asyncpg
import pytest

from eventstore import StreamKey
from integration.projector.order_log import OrderLog
from orders import Event, Order, evolve
from projector import folding as folding_arrivals
from readmodels import READ_MODELS
from readmodels import folding as folding_stored

Mend = Callable[[], Awaitable[None]]


class Breaker:
    """Breaks one order from a version on, for one read model; `mend` puts it right again."""

    def __init__(self, log: OrderLog, conn: asyncpg.Connection, name: str, patch: pytest.MonkeyPatch) -> None:
        self.log = log
        self.conn = conn
        self.name = name
        self._patch = patch
        self._mends: list[Mend] = []

    async def break_order(self, how: str, key: StreamKey, version: int) -> None:
        """Break it as HOW says."""
        await HOW[how](self, key, version)

    async def mend(self) -> None:
        """Put all right."""
        for each in self._mends:
            await each()

    def _change(self, key: StreamKey, version: int, **changes: Any) -> None:
        for records in self.log.records.values():
            for place, record in enumerate(records):
                headers = dict(record.headers)
                if record.key == str(key.aggregate_id).encode() and headers["ce_version"] == b"%d" % version:
                    records[place] = replace(record, **changes)

    def _set_header(self, key: StreamKey, version: int, name: str, value: bytes) -> None:
        for records in self.log.records.values():
            for record in records:
                headers = dict(record.headers)
                if record.key == str(key.aggregate_id).encode() and headers["ce_version"] == b"%d" % version:
                    self._change(key, version, headers=tuple({**headers, name: value}.items()))
                    return

    async def no_json(self, key: StreamKey, version: int) -> None:
        self._change(key, version, value=b'{"line_id": ')

    async def other_shape(self, key: StreamKey, version: int) -> None:
        self._change(key, version, value=b'{"secret": "4711"}')

    async def upcaster_fails(self, key: StreamKey, version: int) -> None:
        self._change(key, version, value=b"{}")
        self._set_header(key, version, "ce_schemaversion", b"1")

    async def header_unreadable(self, key: StreamKey, version: int) -> None:
        self._set_header(key, version, "ce_time", b"yesterday")

    async def evolve_raises(self, key: StreamKey, version: int) -> None:
        broken = [True]

        def fails(order: Order, event: Event) -> Order:
            if broken and (order.tenant_id, order.order_id) == key and order.version == version - 1:
                raise LookupError("no such line")
            return evolve(order, event)

        async def mend() -> None:
            broken.clear()

        # What comes of the topic, and what comes of the store.
        for module in (folding_arrivals, folding_stored):
            self._patch.setattr(module, "evolve", fails)
        self._mends.append(mend)

    async def database_refuses(self, key: StreamKey, version: int) -> None:
        table = READ_MODELS[self.name].orders_table.format(generation=1)
        await self.conn.execute(
            f"ALTER TABLE {table} ADD CONSTRAINT broken"
            f" CHECK (order_id <> '{key.aggregate_id}' OR version < {version})"
        )

        async def mend() -> None:
            await self.conn.execute(f"ALTER TABLE {table} DROP CONSTRAINT broken")

        self._mends.append(mend)


HOW: dict[str, Callable[[Breaker, StreamKey, int], Awaitable[None]]] = {
    "no_json": Breaker.no_json,
    "other_shape": Breaker.other_shape,
    "upcaster_fails": Breaker.upcaster_fails,
    "header_unreadable": Breaker.header_unreadable,
    "evolve_raises": Breaker.evolve_raises,
    "database_refuses": Breaker.database_refuses,
}
