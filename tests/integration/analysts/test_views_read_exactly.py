"""What analysts' tools make of the views: exact numbers, and a word on each view and column."""

import asyncio
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import asyncpg
import duckdb
import duckdb_extension_postgres_scanner
import pytest

from harness.servers import FreshDatabase, Servers, fresh_database
from integration.projector.order_log import CONFIRM, OrderLog, create, item, order_key, random_log
from integration.till.read_models_made import make_read_models
from orders.currencies import WITHDRAWN, usual_decimals
from readmodels import READ_MODELS
from readmodels.described_views import COLUMNS, OF_ONE_VIEW, VIEWS
from readmodels.generations import open_live

AMOUNTS = ("gross", "discount", "net")
COLUMNS_TOLD = """
SELECT c.relname AS view, a.attname AS column, format_type(a.atttypid, a.atttypmod) AS type,
    obj_description(c.oid, 'pg_class') AS view_told, col_description(c.oid, a.attnum) AS told
FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid
WHERE c.relnamespace = 'read_models'::regnamespace AND a.attnum > 0 ORDER BY c.relname, a.attnum
"""
LARGEST = 50
"""Lines of the largest order here; an order may have a thousand."""


def log_of_amounts() -> OrderLog:
    """Give sums that no float holds, in currencies of nought to four decimals."""
    log = random_log(20)
    for currency, price in (("JPY", "999999999"), ("KWD", "999999999.999"), ("CLF", "0.0001")):
        largest = [item(price, "999999.999") for _ in range(LARGEST)]
        log.do(order_key(currency), create("ann", currency), *largest, CONFIRM)
    return log


@pytest.fixture(scope="module")
def town(session_servers: Servers) -> Iterator[FreshDatabase]:
    """Give a database with such orders in its read models."""

    async def fill(database: FreshDatabase) -> None:
        log, admin = log_of_amounts(), await asyncpg.connect(database.dsn())
        await log.store(admin)
        await make_read_models(database.dsn("projector"), log)
        await admin.close()

    with fresh_database(session_servers) as database:
        asyncio.run(fill(database))
        yield database


async def asked(town: FreshDatabase, question: str) -> list[dict[str, Any]]:
    conn = await asyncpg.connect(town.dsn("analyst"))
    try:
        return [dict(row) for row in await conn.fetch(question)]
    finally:
        await conn.close()


async def test_every_number_says_its_digits(town: FreshDatabase) -> None:
    """No column of a view is a numeric of unknown digits, and amounts hold all decimals of any currency."""
    types = {(row["view"], row["column"]): row["type"] for row in await asked(town, COLUMNS_TOLD)}
    numbers = {each: kind for each, kind in types.items() if kind.startswith("numeric")}
    assert numbers.pop(("product_movements", "quantity")) == "numeric(9,3)"
    assert len(numbers) == 12
    assert set(numbers.values()) == {"numeric(38,4)"}
    assert max(usual_decimals(currency) or 0 for currency in (*WITHDRAWN, "CLF", "UYW", "KWD", "JPY")) == 4


async def test_duckdb_sums_exactly(town: FreshDatabase) -> None:
    """Through DuckDB's postgres extension each sum is PostgreSQL's own, to the last digit."""
    (scanner,) = Path(duckdb_extension_postgres_scanner.__file__).parent.rglob("*.duckdb_extension")
    with duckdb.connect() as duck:
        duck.load_extension(str(scanner))
        duck.execute(f"ATTACH '{town.dsn('analyst')}' AS town (TYPE postgres, READ_ONLY)")
        for view in ("sales", "sales_changes", "product_movements"):
            sums = ", ".join(f"sum({amount}) AS {amount}" for amount in AMOUNTS)
            question = f"SELECT currency, {sums} FROM {{}}read_models.{view} GROUP BY 1 ORDER BY 1"  # noqa: S608 - ours
            here = [tuple(row.values()) for row in await asked(town, question.format(""))]
            assert duck.execute(question.format("town.")).fetchall() == here
            # As if it were a float: the yen alone would be off.
            assert Decimal(LARGEST * Decimal("999999.999") * 999999999) < max(row[1] for row in here) * 2


async def test_every_view_and_column_is_described(town: FreshDatabase) -> None:
    """Comments tell what each view and each column says, and nothing is described that no view has."""
    rows = await asked(town, COLUMNS_TOLD)
    assert [(row["view"], row["column"]) for row in rows if not (row["told"] and row["view_told"])] == []
    views = {row["view"] for row in rows}
    assert views == {*VIEWS, "freshness", "tenants"}
    there = {(row["view"], row["column"]) for row in rows if row["view"] in VIEWS}
    assert {column for _, column in there} >= set(COLUMNS)
    assert there >= set(OF_ONE_VIEW)


async def test_views_without_a_word_get_theirs_at_the_next_start(database: FreshDatabase) -> None:
    """What a build made that knew no comments is described once a projector of this one starts."""
    conn = await asyncpg.connect(database.dsn("projector"))
    await open_live(conn, READ_MODELS["audit_log"])
    await conn.execute("COMMENT ON COLUMN read_models.audit_log.before IS NULL")
    await open_live(conn, READ_MODELS["audit_log"])
    assert "JSON" in await conn.fetchval("SELECT col_description('read_models.audit_log'::regclass, 13)")
    await conn.close()
