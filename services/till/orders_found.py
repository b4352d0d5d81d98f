"""Which order, and which moment of it, is meant by what is typed on the command line."""

from collections.abc import Sequence
from typing import Annotated
from uuid import UUID

import asyncpg
import typer

from eventstore import Loaded, StreamKey
from orders import Order
from queries import (
    Clock,
    NoSuchOrder,
    NoSuchVersion,
    NotCreatedYet,
    Point,
    SeveralTenants,
    order_at,
    some_orders,
    tenant_of_order,
)
from till.connecting import query_connection
from till.errors import TillError
from till.settings import till_settings

OrderArgument = Annotated[str, typer.Argument(metavar="ORDER", help="The order's id, a UUID.")]
TenantOption = Annotated[
    str | None, typer.Option("--tenant", help="Whose order it is, where several tenants use the same id.")
]


def parse_order_id(text: str, advice: str) -> UUID:
    """Return the order id that `text` is. Raises TillError, with what to do instead."""
    try:
        return UUID(text)
    except ValueError:
        raise TillError(f"{text!r} is no order id: it must be a UUID.", advice) from None


async def find_order(connection: asyncpg.Connection, order: str, tenant: str | None) -> StreamKey:
    """Return the tenant and id of an order that exists.

    Raises TillError, with ids that could have been meant, when there is none or when several tenants have it.
    """
    try:
        order_id = UUID(order)
    except ValueError:
        raise TillError(f"{order!r} is no order id: it must be a UUID.", await _advice(connection)) from None
    try:
        return StreamKey(await tenant_of_order(connection, order_id, tenant), order_id)
    except NoSuchOrder:
        lacking = f"Tenant {tenant} has no" if tenant else "There is no"
        raise TillError(f"{lacking} order {order_id}.", await _advice(connection)) from None
    except SeveralTenants as error:
        raise several_tenants(error) from None


def several_tenants(error: SeveralTenants) -> TillError:
    """Return the refusal to choose between the tenants that have an order of this id."""
    return TillError(
        f"{len(error.tenants)} tenants have an order {error.order_id}: {', '.join(error.tenants)}.",
        f"Say which one: --tenant {error.tenants[0]}",
    )


async def find_order_at(
    order: str, tenant: str | None, points: Sequence[Point], clock: Clock
) -> list[Loaded[Order]]:
    """Return an order as it was at each point. Raises TillError as `find_order` does, or if it was not."""
    async with query_connection(till_settings()) as connection:
        key = await find_order(connection, order, tenant)
        try:
            return [await order_at(connection, *key, point, clock) for point in points]
        except NoSuchVersion as error:
            advice = f"`till history {key.aggregate_id}` lists what happened at each."
            raise TillError(f"Order {key.aggregate_id} {error}.", advice) from None
        except NotCreatedYet as error:
            raise TillError(
                f"Order {key.aggregate_id} {error}.",
                f"Its first event occurred at {error.first.occurred_at.isoformat()} (--clock occurred)"
                f" and was recorded at {error.first.recorded_at.isoformat()} (--clock recorded).",
            ) from None


async def _advice(connection: asyncpg.Connection) -> str:
    if some := await some_orders(connection):
        return f"Try one of these: {', '.join(map(str, some))}"
    return "The read models have no order yet: send some with `till load --orders 100`."
