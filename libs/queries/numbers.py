"""Numbers as PostgreSQL writes them."""

from decimal import Decimal

import asyncpg


async def read_numbers_as_written(conn: asyncpg.Connection) -> None:
    """Have a connection give numerics as decimals that PostgreSQL's own text makes: 10000, and not 1E+4.

    asyncpg's binary codec makes the latter of a number without decimals that ends in four noughts. It is
    equal, but no amount that a person or a client would take.
    """
    await conn.set_type_codec("numeric", schema="pg_catalog", encoder=str, decoder=Decimal, format="text")
