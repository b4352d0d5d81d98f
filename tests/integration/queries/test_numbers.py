"""Numbers on their way out of the database."""

from dataclasses import asdict
from decimal import Decimal
from typing import Any

import asyncpg

from eventstore import Loaded
from integration.projector.order_log import CONFIRM, RECORDED_AT, VOID, OrderLog, create, item, order_key
from integration.queries.conftest import Ask
from queries import SalesGroup, find_order, product_quantities, read_numbers_as_written, sales
from queries.orders import summary_of


def told(row: Any) -> dict[str, str]:
    """Give the amounts and quantities of an answer as they are written."""
    return {name: str(value) for name, value in asdict(row).items() if isinstance(value, Decimal)}


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


async def test_amounts_have_their_currencys_decimals_in_every_answer(asked: Ask) -> None:
    """Also where they are zero, now and as of a moment; quantities have the decimals that they need."""
    log = OrderLog()
    for currency in ("EUR", "JPY"):
        log.do(order_key(f"empty {currency}"), create("ann", currency))
        log.do(order_key(f"voided {currency}"), create("bob", currency), item("4"), CONFIRM, VOID)
        log.do(
            order_key(f"sold {currency}"), create("cy", currency), item("2", "0.5"), item("2", "1.5"), CONFIRM
        )
    conn = await asked(log)
    await read_numbers_as_written(conn)
    zero, four = {"EUR": "0.00", "JPY": "0"}, {"EUR": "4.00", "JPY": "4"}
    for moment in (None, RECORDED_AT):
        rows = await sales(conn, "store-1", group_by=[SalesGroup.cashier_id], as_of=moment)
        assert [(row.cashier_id, told(row)) for row in rows] == [
            (who, {"gross": net[currency], "discount": zero[currency], "net": net[currency]})
            for who, net in (("bob", zero), ("cy", four))
            for currency in ("EUR", "JPY")
        ]
        products = await product_quantities(conn, "store-1", as_of=moment)
        assert [told(row) for row in products.items] == [
            {"quantity": "2", "gross": four[it], "discount": zero[it], "net": four[it]}
            for it in ("EUR", "JPY")
        ]
    for key, order in log.orders.items():
        found = await find_order(conn, *key)
        assert told(found) == told(summary_of(Loaded(order, order.version, RECORDED_AT, None)))
        if not order.lines:
            assert set(told(found).values()) == {zero[order.currency]}
