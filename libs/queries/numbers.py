"""Numbers as PostgreSQL writes them."""

from decimal import Context, Decimal
from typing import Any

import asyncpg

from orders.currencies import usual_decimals

# What the views' amounts have, whatever the currency; and as many digits in all.
_DECIMALS = 4
_EXACT = Context(prec=38)


def in_its_currency(row: asyncpg.Record, *amounts: str) -> dict[str, Any]:
    """Return a row of a view with its amounts written as its currency's are: 4.7700 EUR is 4.77.

    What an amount has beyond that stays: a currency may have had more decimals once.
    """
    least = usual_decimals(row["currency"]) or 0
    return dict(row) | {name: _written(row[name], least) for name in amounts}


def _written(amount: Decimal, least: int) -> Decimal:
    for decimals in range(least, _DECIMALS):
        shorter = amount.quantize(Decimal((0, (1,), -decimals)), context=_EXACT)
        if shorter == amount:
            return shorter
    return amount


async def read_numbers_as_written(conn: asyncpg.Connection) -> None:
    """Have a connection give numerics as decimals that PostgreSQL's own text makes: 10000, and not 1E+4.

    asyncpg's binary codec makes the latter of a number without decimals that ends in four noughts. It is
    equal, but no amount that a person or a client would take.
    """
    await conn.set_type_codec("numeric", schema="pg_catalog", encoder=str, decoder=Decimal, format="text")
