"""An order at a point, the difference of two, what was sold by then: each a fold of the log cut there."""

import json
import random
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID

import asyncpg
import httpx
import pytest

from eventstore import StreamKey
from harness.load import commands_of_orders
from integration.query_service.conftest import Clients
from integration.query_service.shop import Shop
from orders import ORDER, Order

BEGIN = datetime(2026, 3, 1, 6, 0, tzinfo=UTC)
TENANT = "store-1"
PROBES = 40
_LOG = "SELECT * FROM order_events WHERE tenant_id = $1 ORDER BY aggregate_id, version"


class Step(NamedTuple):
    """An order after one event, and that event's two times."""

    order: Order
    recorded: datetime
    occurred: datetime


class Log:
    """All that happened to a tenant's orders, folded event by event; nothing of the event store is used."""

    def __init__(self, rows: list[Any]) -> None:
        self.orders: dict[UUID, list[Step]] = defaultdict(list)
        for row in rows:
            steps = self.orders[row["aggregate_id"]]
            before = steps[-1].order if steps else ORDER.initial_state(TENANT, row["aggregate_id"])
            payload = json.loads(row["payload"], parse_float=Decimal)
            after = ORDER.evolve_stored(
                before, row["event_type"], payload, json.loads(row["metadata"]), row["occurred_at"]
            )
            steps.append(Step(after, row["recorded_at"], row["occurred_at"]))

    def at(self, order_id: UUID, point: int | datetime, clock: str) -> Step | None:
        """Cut the log at a version or before its first event later than a time; None if nothing is left."""
        found = None
        for number, step in enumerate(self.orders[order_id], start=1):
            if number > point if isinstance(point, int) else getattr(step, clock) > point:
                break
            found = step
        return found

    def sold(self, moment: datetime, clock: str) -> Iterator[Order]:
        """Give the orders that were confirmed, and not voided, at a time."""
        for order_id in self.orders:
            step = self.at(order_id, moment, clock)
            if step is not None and step.order.status == "confirmed":
                yield step.order


async def live(shop: Shop, conn: asyncpg.Connection, rng: random.Random) -> None:
    """Let some orders live at the same time; terminals' clocks differ, and some send late."""
    now = BEGIN
    known = set()
    for made in commands_of_orders(14, rng.randrange(1000)):
        attributes = {name: value.decode() for name, value in made["headers"]}
        if attributes["ce_id"] in known:
            continue
        known.add(attributes["ce_id"])
        now += timedelta(minutes=rng.random() * 20)
        late = timedelta(minutes=rng.choice([0, 0, 1, 90, 600]) * rng.random() - 1)
        time = (now - late).isoformat().replace("+00:00", "Z").encode()
        made["headers"] = [(name, time if name == "ce_time" else value) for name, value in made["headers"]]
        key = StreamKey(attributes["ce_tenantid"], UUID(attributes["ce_subject"]))
        await shop.take(conn, key, made, now)


@pytest.mark.parametrize("seed", [1, 2])
async def test_each_answer_is_a_fold_of_the_log_cut_there(
    database: Any, shop: Shop, new_client: Clients, seed: int
) -> None:
    """At random versions and times, by both clocks: the order, the difference, the sales and the products."""
    rng = random.Random(seed)  # noqa: S311 - repeatable
    conn = await asyncpg.connect(database.dsn())
    await live(shop, conn, rng)
    await shop.catch_up()
    log = Log(await conn.fetch(_LOG, TENANT))
    await conn.close()
    client = await new_client()
    moments = [at for steps in log.orders.values() for step in steps for at in (step.recorded, step.occurred)]
    there = 0
    for _ in range(PROBES):
        clock = rng.choice(["recorded", "occurred"])
        order_id = rng.choice(list(log.orders))
        points: list[int | datetime] = [
            rng.choice((rng.randint(1, len(log.orders[order_id])), near(rng, rng.choice(moments))))
            for _ in range(2)
        ]
        states = [log.at(order_id, point, clock) for point in points]
        answers = [await at(client, order_id, point, clock) for point in points]
        for state, answer in zip(states, answers, strict=True):
            assert answer == (None if state is None else seen(state))
        found = await client.get(
            f"/v1/orders/{order_id}/diff",
            params={"from": text(points[0]), "to": text(points[1]), "clock": clock},
        )
        if None in states:
            assert found.status_code == 404
        else:
            assert applied(answers[0], found.json()) == visible(answers[1])
            there += 1
        moment = near(rng, rng.choice(moments))
        await check_figures(client, log, moment, clock)
    assert there > PROBES / 4


def near(rng: random.Random, moment: datetime) -> datetime:
    """Give a moment, or one just before or after it."""
    return moment + timedelta(microseconds=rng.choice([-1, 0, 0, 1]))


def text(point: int | datetime) -> str:
    return str(point) if isinstance(point, int) else point.isoformat()


async def at(client: httpx.AsyncClient, order_id: UUID, point: int | datetime, clock: str) -> Any:
    name = "version" if isinstance(point, int) else "time"
    found = await client.get(f"/v1/orders/{order_id}/at", params={name: text(point), "clock": clock})
    if found.status_code == 404:
        assert found.json()["type"] == "/problems/no-such-moment"
        return None
    assert found.status_code == 200, found.text
    return found.json()


def seen(step: Step) -> dict[str, Any]:
    """Write an order as the API does, by other means."""
    order = step.order
    totals = order.totals
    texts = ("status", "cashier_id", "currency", "version", "hour", "voided_reason", "voided_by")
    lines = []
    for line, amounts in zip(order.lines, totals.lines, strict=True):
        money = {name: str(getattr(amounts, name)) for name in ("gross", "discount", "net", "order_discount")}
        what = {name: getattr(line, name) for name in ("line_id", "product_id", "name")}
        numbers = {"quantity": f"{line.quantity:f}", "unit_price": str(line.unit_price)}
        lines.append({**what, **numbers, **money, "discounted": discount(line.discount)})
    return {
        "order_id": str(order.order_id),
        **{name: getattr(order, name) for name in texts},
        "business_day": str(order.business_day),
        "line_count": len(order.lines),
        "subtotal": str(totals.subtotal),
        "discount": str(totals.order_discount),
        "total": str(totals.total),
        "created_at": moment(order.created_at),
        "updated_at": moment(order.updated_at),
        "recorded_at": moment(step.recorded),
        "discounted": discount(order.discount),
        "lines": lines,
    }


def moment(at: datetime | None) -> str:
    assert at is not None
    return at.isoformat().replace("+00:00", "Z")


def discount(of: Any) -> dict[str, Any] | None:
    if of is None:
        return None
    numbers = {name: getattr(of, name, None) for name in ("percent", "amount")}
    return {
        **{name: None if number is None else f"{number:f}" for name, number in numbers.items()},
        "authorised_by": of.authorised_by,
        "reason": of.reason,
    }


def visible(answer: dict[str, Any]) -> dict[str, Any]:
    """Give the fields that a difference tells of, of an order as the API writes it, flat."""
    own = ("status", "cashier_id", "currency", "business_day", "hour", "voided_reason", "voided_by")
    fields = {name: answer[name] for name in own} | flat(answer["discounted"])
    lines = {}
    for line in answer["lines"]:
        of_line = {
            name: value
            for name, value in line.items()
            if name not in {"line_id", "discounted", "order_discount"}
        }
        lines[line["line_id"]] = present(of_line | flat(line["discounted"]))
    totals = {"subtotal": answer["subtotal"], "order_discount": answer["discount"], "total": answer["total"]}
    return {"fields": present(fields), "totals": totals, "lines": lines}


def flat(of: dict[str, Any] | None) -> dict[str, Any]:
    return {} if of is None else {f"discount.{name}": value for name, value in of.items()}


def present(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


def applied(before: dict[str, Any], found: dict[str, Any]) -> dict[str, Any]:
    """Apply a difference to an order as the API writes it."""
    result = visible(before)
    sums = [each for each in found["totals"] if each["field"] in result["totals"]]
    for fields, changes in ((result["fields"], found["changes"]), (result["totals"], sums)):
        move(fields, changes)
    for line in found["lines_removed"]:
        del result["lines"][line["line_id"]]
    for line in found["lines_changed"]:
        move(result["lines"][line["line_id"]], line["changes"])
    added = visible({**before, "lines": found["lines_added"]})["lines"]
    assert not added.keys() & result["lines"].keys()
    return {**result, "lines": result["lines"] | added}


def move(fields: dict[str, Any], changes: list[dict[str, Any]]) -> None:
    for change in changes:
        assert fields.pop(change["field"], None) == change["before"]
        if change["after"] is not None:
            fields[change["field"]] = change["after"]


async def check_figures(client: httpx.AsyncClient, log: Log, moment: datetime, clock: str) -> None:
    """Compare sales and products as of a time with the orders folded up to there."""
    sales: dict[tuple[str, str], list[Any]] = defaultdict(lambda: [0, Decimal(0)])
    products: dict[tuple[str, str], list[Decimal]] = defaultdict(lambda: [Decimal(0)] * 3)
    for order in log.sold(moment, clock):
        row = sales[str(order.business_day), order.currency]
        row[:] = row[0] + 1, row[1] + order.totals.total
        for line, amounts in zip(order.lines, order.totals.lines, strict=True):
            parts = (line.quantity, amounts.gross, amounts.net - amounts.order_discount)
            place = (line.product_id, order.currency)
            products[place] = [one + other for one, other in zip(products[place], parts, strict=True)]
    asked = {"as_of": moment.isoformat(), "clock": clock}
    told = (await client.get("/v1/sales", params=asked)).json()["sales"]
    assert {
        (row["business_day"], row["currency"]): [row["orders"], Decimal(row["net"])]
        for row in told
        if row["orders"]
    } == sales, (moment, clock)
    told = (await client.get("/v1/products", params={**asked, "limit": 1000})).json()["products"]
    assert {
        (row["product_id"], row["currency"]): [Decimal(row[name]) for name in ("quantity", "gross", "net")]
        for row in told
    } == products
