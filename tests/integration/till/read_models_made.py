"""Read models as a projector would have made them of a log, without one."""

from collections.abc import Collection, Iterator, Mapping
from itertools import groupby

import asyncpg

from eventstore import StreamKey
from integration.projector.order_log import CORRELATION_ID, RECORDED_AT, OrderLog
from readmodels import READ_MODELS, AppliedEvent, OrderChange, Provenance
from readmodels.generations import open_live


def changes(log: OrderLog, versions: Mapping[StreamKey, int]) -> Iterator[OrderChange]:
    """Give each order as a change from nothing; `versions` says of some up to where."""
    whose = lambda happened: StreamKey(happened.after.tenant_id, happened.after.order_id)  # noqa: E731
    for key, all_happened in groupby(sorted(log.history, key=whose), key=whose):
        events = [
            AppliedEvent(
                happened.event,
                Provenance(happened.actor, RECORDED_AT, happened.command_id, CORRELATION_ID),
                happened.before,
                happened.after,
            )
            for happened in all_happened
        ][: versions.get(key)]
        if events:
            yield OrderChange(events[-1].after, 0, len(events), RECORDED_AT, events)


async def make_read_models(
    dsn: str,
    log: OrderLog,
    versions: Mapping[StreamKey, int] | None = None,
    names: Collection[str] = tuple(READ_MODELS),
) -> None:
    """Make the first generation of read models and write all orders to it."""
    conn = await asyncpg.connect(dsn)
    try:
        for name in names:
            live = await open_live(conn, READ_MODELS[name])
            await live.write(conn, list(changes(log, versions or {})))
    finally:
        await conn.close()
