"""Numbers on their way out of the database."""

from typing import Any

import asyncpg

from queries import read_numbers_as_written


async def test_round_amounts_come_as_they_are_written(database: Any) -> None:
    """An amount without decimals, such as of yen, comes out in plain digits however many noughts it has."""
    conn = await asyncpg.connect(database.dsn("query"))
    try:
        await read_numbers_as_written(conn)
        found = await conn.fetchrow(
            "SELECT 10000::numeric, 1230000::numeric, 1.50::numeric, sum(each)"
            " FROM unnest($1::numeric[]) AS each",
            ["5000", "5000"],
        )
        assert [str(each) for each in found] == ["10000", "1230000", "1.50", "10000"]
    finally:
        await conn.close()
