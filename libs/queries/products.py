"""How much of each product was sold, now or by any moment."""

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from operator import attrgetter
from typing import Annotated

import asyncpg
from pydantic import Field

from queries import pages
from queries.conditions import BY_CLOCK, Clock, Conditions
from queries.numbers import in_its_currency
from queries.pages import Cursors, Page

MOST_PRODUCTS = 1_000


@dataclass(frozen=True, slots=True)
class ProductSold:
    """What was sold of a product in one currency; discount with its part of the orders' discounts."""

    product_id: Annotated[str, Field(examples=["p-apple"])]
    currency: Annotated[str, Field(examples=["EUR"])]
    # That of its newest sale, one voided since included.
    name: Annotated[str, Field(examples=["Apple"])]
    quantity: Annotated[Decimal, Field(examples=["12"])]
    gross: Annotated[Decimal, Field(examples=["18.00"])]
    discount: Annotated[Decimal, Field(examples=["0.90"])]
    net: Annotated[Decimal, Field(examples=["17.10"])]


async def product_quantities(
    conn: asyncpg.Connection,
    tenant_id: str,
    *,
    product_id: str | None = None,
    day_from: date | None = None,
    day_to: date | None = None,
    as_of: datetime | None = None,
    clock: Clock = Clock.recorded,
    limit: int = 100,
    cursor: str | None = None,
) -> Page[ProductSold]:
    """Return a page of the products that a tenant sold on a span of business days, both included.

    An order counts from its confirmation until it is voided. `as_of` (None: now) is the moment up to which
    what had happened counts, by the clock. In order of product and currency, `limit` (1 to 1,000) at most.
    Raises BadCursor, ValueError for another limit, and asyncpg's UndefinedTableError as long as the read
    model has no tables.
    """
    if not 1 <= limit <= MOST_PRODUCTS:
        raise ValueError(f"limit must be from 1 to {MOST_PRODUCTS}")
    question = ["products", tenant_id, product_id, day_from, day_to, as_of, clock]
    cursors = Cursors(question, (pages.a_text, pages.a_text))
    conditions = Conditions()
    conditions.add("tenant_id = {}", tenant_id)
    conditions.add_given("product_id = {}", product_id)
    conditions.add_given("business_day >= {}", day_from)
    conditions.add_given("business_day <= {}", day_to)
    conditions.add_given(BY_CLOCK[clock], as_of)
    if cursor is not None:
        conditions.add("(product_id, currency) > ({}, {})", *cursors.read(cursor))
    rows = await conn.fetch(
        f"""
        SELECT product_id, currency,
               (
                   array_agg(name ORDER BY recorded_at DESC, order_id, line_id) FILTER (WHERE quantity > 0)
               )[1] AS name,
               trim_scale(sum(quantity)) AS quantity, sum(gross) AS gross, sum(discount) AS discount,
               sum(net) AS net
        FROM read_models.product_movements WHERE {conditions}
        GROUP BY product_id, currency HAVING sum(quantity) <> 0
        ORDER BY product_id, currency LIMIT {conditions.parameter(limit + 1)}
        """,  # noqa: S608 - our own texts; values are parameters
        *conditions.values,
    )
    found = [ProductSold(**in_its_currency(row, "gross", "discount", "net")) for row in rows]
    return cursors.page(found, limit, attrgetter("product_id", "currency"))
