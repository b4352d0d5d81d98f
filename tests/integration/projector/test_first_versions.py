"""An installation whose read models are of their first version, when projectors of this build start."""

import json
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import asyncpg
import pytest
from pydantic import SecretStr

from integration.projector.order_log import OrderLog, random_log
from integration.projector.processes import Installation, until
from integration.projector.reading import expected, rows
from integration.projector.rebuilding import Operator
from integration.tenants.earlier_build import leave_tenants_together
from queries import OrderFilter, audit_trail, list_orders, sales
from queries.orders import OrderList
from query_service.database import Question, TenantDatabase
from query_service.problems import Problem
from readmodels import READ_MODELS

# What the first version of each had not; the first of its views is the one it had.
TO_FIRST = {
    "order_summary": """
        DROP INDEX projections.order_summary_1_created;
        DROP INDEX projections.order_summary_1_day;
        DROP INDEX projections.order_summary_1_cashier;
    """,
    "sales": """
        DROP VIEW read_models.sales_changes;
        DROP TABLE projections.sales_1_changes;
        ALTER TABLE projections.sales_1_orders DROP COLUMN occurred_by;
    """,
    "audit_log": """
        DROP VIEW read_models.audit_log;
        CREATE VIEW read_models.audit_log AS
        SELECT tenant_id, order_id, version, kind, actor, authorised_by, occurred_at, recorded_at, command_id,
               correlation_id, undoes, redoes, before, after, NULL::text AS command_type, NULL::text AS code,
               NULL::text AS message
        FROM projections.audit_log_1
        UNION ALL
        SELECT tenant_id, order_id, NULL, 'refused', actor, authorised_by, occurred_at, recorded_at,
               command_id, NULL, NULL, NULL, NULL, NULL, command_type, code, message
        FROM public.refused_commands;
        ALTER TABLE projections.audit_log_1 DROP COLUMN line_id, DROP COLUMN product_id;
    """,
}
TENANT = "store-1"


def questions(moment: Any) -> Sequence[Question[Any]]:
    """Give questions to each of the read models, some of which the first version can't answer."""
    return [
        lambda conn: list_orders(conn, TENANT, limit=200),
        lambda conn: list_orders(conn, TENANT, OrderFilter(line_id="1"), limit=200),
        lambda conn: sales(conn, TENANT),
        lambda conn: sales(conn, TENANT, as_of=moment),
        lambda conn: audit_trail(conn, TENANT, limit=1_000),
    ]


async def answers(service: TenantDatabase, asked: Sequence[Question[Any]]) -> list[Any]:
    """Ask everything; None stands for "not there yet", a 503. A watermark is of the moment alone."""
    found: list[Any] = []
    for question in asked:
        try:
            answer = await service.ask(TENANT, question)
            found.append(answer.items if isinstance(answer, OrderList) else answer)
        except Problem as problem:
            if problem.slug != "not-there-yet":
                raise
            found.append(None)
    return found


@contextmanager
def all_running(installation: Installation) -> Iterator[list[Any]]:
    with ExitStack() as stack:
        yield [stack.enter_context(installation.running(name)) for name in TO_FIRST]


async def stop(installation: Installation, processes: Sequence[Any]) -> None:
    for process in processes:
        assert await installation.stop(process) == 0


@pytest.fixture
async def log(
    installation: Installation, database: Any, conn: asyncpg.Connection, operator: Operator
) -> OrderLog:
    """Give what happened; projectors of the first versions have applied it all, and stopped."""
    made = random_log(60)
    await made.store(conn)
    ends = await installation.send(made)
    with all_running(installation) as processes:
        for name in TO_FIRST:
            await operator.live_level(name, ends)
        await stop(installation, processes)
    projector = await asyncpg.connect(database.dsn("projector"))
    for name, to_first in TO_FIRST.items():
        await projector.execute(to_first)
        await leave_tenants_together(projector, name, [name])
    await projector.close()
    await conn.execute("UPDATE projections.generations SET version = 1")
    return made


@pytest.mark.long
async def test_read_models_of_the_first_version_are_upgraded_while_they_are_read(
    installation: Installation, database: Any, conn: asyncpg.Connection, operator: Operator, log: OrderLog
) -> None:
    """They are built anew beside, with what they lacked; whoever asks is told the truth or "not yet"."""
    asked = questions(await conn.fetchval("SELECT max(recorded_at) FROM order_events"))
    looker = await asyncpg.connect(database.dsn("query"))
    as_told: list[list[Any]] = []
    async with TenantDatabase.opened(SecretStr(database.dsn("query_service")), 1, 30) as service:

        async def upgraded() -> bool:
            as_told.append(await answers(service, asked))
            # Who looks at all tenants, with till say, has the figures of before until the new ones are there.
            for name in ("order_summary", "sales"):
                assert await rows(looker, name) == expected(name, log)
            generations = [await operator.generations(name) for name in TO_FIRST]
            return all(each == {1: "previous", 2: "live"} for each in generations)

        assert not await upgraded()
        with all_running(installation) as processes:
            await until(upgraded, "all are upgraded")
            await stop(installation, processes)
        final = await answers(service, asked)
    await looker.close()
    assert as_told[0] == [None] * len(asked)
    for now, *before in zip(final, *as_told, strict=True):
        assert now is not None
        assert all(answer in (None, now) for answer in before)
    for name in TO_FIRST:
        for view in READ_MODELS[name](2).views:
            assert await rows(conn, view) == expected(view, log)
    for (comparison,) in await conn.fetch("SELECT comparison FROM operations.builds"):
        counted = json.loads(comparison)
        assert [counted[what] for what in ("added", "gone", "changed", "unsettled")] == [0] * 4
