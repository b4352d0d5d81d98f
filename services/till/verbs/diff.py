"""`till diff`: what differs between an order as it was at one point and at another."""

from collections.abc import Iterator
from typing import Annotated, Any

import typer

from orders import OrderDifference, PricedLine, difference
from queries import Clock, Point
from queries.answers import difference_of, line_row
from till.connecting import run
from till.errors import TillError
from till.orders_found import OrderArgument, TenantOption, find_order_at
from till.output import Output, OutputOption, notices, print_json, print_rows
from till.times import ClockOption, parse_time

_COLUMNS = ("what", "field", "before", "after")
_POINT = "a version such as 3, or a time such as 2017-01-01T12:00:00Z; UTC unless it says."
_HIGHEST_VERSION = 2**31 - 1


def diff(
    order: OrderArgument,
    begin: Annotated[str, typer.Argument(metavar="FROM", help=f"As it was at {_POINT}")],
    end: Annotated[str, typer.Argument(metavar="TO", help=f"As it was at {_POINT}")],
    *,
    clock: ClockOption = Clock.recorded,
    tenant: TenantOption = None,
    output: OutputOption = Output.table,
) -> None:
    """Show what differs between an order at one point and at another: lines, discounts, totals, status."""
    before, after = run(find_order_at(order, tenant, [_point(begin), _point(end)], clock))
    found = difference(before.state, after.state)
    if output is Output.json:
        print_json(difference_of(found, line_row))
        return
    title = f"Order {order}, version {found.version_before} → {found.version_after}"
    print_rows(list(_rows(found)), _COLUMNS, output, title)
    if found.reordered:
        notices.print("Lines that both have stand in another order.", highlight=False)


def _point(text: str) -> Point:
    if not (text.isascii() and text.isdecimal()):
        return parse_time(text)
    version = int(text[:12])
    if not 1 <= version <= _HIGHEST_VERSION:
        raise TillError(f"{text[:12]} is no version.", "Versions count from 1; `till history` lists them.")
    return version


def _rows(found: OrderDifference) -> Iterator[dict[str, Any]]:
    for what, changes in (("order", found.changes), ("totals", found.totals)):
        for change in changes:
            yield {"what": what, **change._asdict()}
    for priced in found.lines_removed:
        yield {"what": _named(priced), "field": "line", "before": _worth(priced), "after": None}
    for priced in found.lines_added:
        yield {"what": _named(priced), "field": "line", "before": None, "after": _worth(priced)}
    for line in found.lines_changed:
        for change in line.changes:
            yield {"what": f"line {line.line_id}: {line.name}", **change._asdict()}


def _named(priced: PricedLine) -> str:
    return f"line {priced.line.line_id}: {priced.line.name}"


def _worth(priced: PricedLine) -> str:
    return f"{priced.line.quantity} at {priced.line.unit_price}, net {priced.amounts.net}"
