"""How long the query service takes to answer, from the request's arrival to the end of its answer."""

import json
import time
from collections.abc import Sequence
from typing import Any, NamedTuple
from urllib.parse import urlencode

import asyncpg
import httpx
from measuring import Latency, latency
from stored_orders import FIRST_DAY, TENANT, store_orders

from harness.installation import Installation
from harness.processes import ServiceProcess
from harness.till_process import till
from harness.waiting import eventually
from readmodels import READ_MODELS

TIMES = 60
_MONTH = {"day_from": "2026-03-01", "day_to": "2026-03-31"}
_BARE_LIST = """
SELECT * FROM projections.order_summary_{generation} WHERE tenant_id = $1
ORDER BY created_at DESC, order_id DESC LIMIT 50
"""
_BARE_ORDER = "SELECT * FROM projections.order_summary_{generation} WHERE tenant_id = $1 AND order_id = $2"
_BARE_SEARCH = """
SELECT order_id FROM projections.audit_log_{generation} WHERE tenant_id = $1 AND product_id = $2
ORDER BY order_id LIMIT 50
"""
_BARE_SALES = """
SELECT business_day, currency, sum(orders), sum(gross), sum(discount), sum(net), sum(voids)
FROM projections.sales_{generation}_totals
WHERE tenant_id = $1 AND business_day BETWEEN $2 AND $3 GROUP BY 1, 2
"""
_BARE_CHANGES = """
SELECT business_day, currency, sum(orders), sum(gross), sum(discount), sum(net), sum(voids)
FROM projections.sales_{generation}_changes
WHERE tenant_id = $1 AND business_day BETWEEN $2 AND $3 AND recorded_at <= $4 GROUP BY 1, 2
"""
_BARE_PRODUCTS = """
SELECT product_id, currency, sum(quantity), sum(net) FROM projections.product_movements_{generation}
WHERE tenant_id = $1 AND business_day BETWEEN $2 AND $3 GROUP BY 1, 2 ORDER BY 1 LIMIT 100
"""
_BARE_STEPS = """
SELECT from_type, to_type, count(*), avg(wait) FROM projections.process_steps_{generation}
WHERE tenant_id = $1 AND business_day BETWEEN $2 AND $3 GROUP BY 1, 2
"""


class Question(NamedTuple):
    """A request, and the plain statement that the same rows could be had by."""

    what: str
    route: str
    path: str
    read_model: str
    statement: str
    arguments: tuple[Any, ...]


async def measure(installation: Installation, connection: asyncpg.Connection, orders: int) -> list[Latency]:
    """Store the orders, have the read models built, and ask each question so many times."""
    await store_orders(connection, orders)
    generations = {name: await _built(installation, connection, name) for name in READ_MODELS}
    await connection.execute("VACUUM ANALYZE")
    service = query_service(installation)
    await service.ready()
    found = []
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{service.port}") as client:
        for question in await _questions(connection):
            times = await _asked(client, service, question)
            statement = question.statement.format(generation=generations[question.read_model])
            bare = await _bare(connection, statement, (TENANT, *question.arguments))
            found.append(latency(question.what, times, "a bare indexed query", bare))
    await service.stop()
    return found


def query_service(installation: Installation) -> ServiceProcess:
    """Start the query service, for the tenant that the orders are of."""
    return installation.service(
        "query_service", development_identity=f"{TENANT}:bench:manager", requests_per_minute="1000000"
    )


async def _built(installation: Installation, connection: asyncpg.Connection, read_model: str) -> int:
    """Have a read model built from the store, and return the generation that is live then."""
    projector = installation.service("projector", read_model)
    await projector.ready()
    await till(installation, "rebuild", read_model, "--output", "json")
    await projector.stop()
    generation: int = await connection.fetchval(
        "SELECT generation FROM projections.generations WHERE read_model = $1 AND state = 'live'", read_model
    )
    return generation


async def _questions(connection: asyncpg.Connection) -> list[Question]:
    order_id, product_id = await connection.fetchrow(
        "SELECT aggregate_id, payload ->> 'product_id' FROM order_events"
        " WHERE event_type = 'ItemAdded' AND occurred_at > $1 LIMIT 1",
        FIRST_DAY.replace(month=6),
    )
    month = tuple(FIRST_DAY.replace(month=3, day=day).date() for day in (1, 31))
    days = urlencode(_MONTH)
    return [
        Question("the newest 50 orders", "list_orders", "/v1/orders", "order_summary", _BARE_LIST, ()),
        Question(
            "one order, with its lines",
            "show_order",
            f"/v1/orders/{order_id}",
            "order_summary",
            _BARE_ORDER,
            (order_id,),
        ),
        Question(
            "orders that had a product",
            "search",
            f"/v1/search?q={product_id}",
            "audit_log",
            _BARE_SEARCH,
            (product_id,),
        ),
        Question("a month's sales by day", "sales", f"/v1/sales?{days}", "sales", _BARE_SALES, month),
        Question(
            "the same as of a time",
            "sales",
            f"/v1/sales?{days}&as_of=2026-03-20T12:00:00Z",
            "sales",
            _BARE_CHANGES,
            (*month, FIRST_DAY.replace(month=3, day=20, hour=12)),
        ),
        Question(
            "a month's products sold",
            "products",
            f"/v1/products?{days}",
            "product_movements",
            _BARE_PRODUCTS,
            month,
        ),
        Question(
            "a month's process map", "process_map", f"/v1/process?{days}", "process_steps", _BARE_STEPS, month
        ),
    ]


async def _asked(client: httpx.AsyncClient, service: ServiceProcess, question: Question) -> list[float]:
    """Return what the service itself says each answer took, in milliseconds."""
    before = len(_logged(service, question.route))
    for _ in range(TIMES):
        answer = await client.get(question.path)
        if answer.status_code != httpx.codes.OK or not any(answer.json().values()):
            raise RuntimeError(f"{question.path} was answered {answer.status_code}: {answer.text[:500]}")

    async def all_logged() -> bool:
        return len(_logged(service, question.route)) == before + TIMES

    await eventually(all_logged)
    return _logged(service, question.route)[before:]


def _logged(service: ServiceProcess, route: str) -> list[float]:
    lines = (json.loads(line) for line in service.log.splitlines() if '"http.request"' in line)
    return [line["milliseconds"] for line in lines if line["route"] == route]


async def _bare(connection: asyncpg.Connection, statement: str, arguments: Sequence[Any]) -> list[float]:
    prepared = await connection.prepare(statement)
    times = []
    for _ in range(TIMES):
        began = time.perf_counter()
        await prepared.fetch(*arguments)
        times.append((time.perf_counter() - began) * 1000)
    return times
