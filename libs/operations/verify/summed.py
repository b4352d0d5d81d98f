"""What a read model sums over orders must be the sum of what they contribute, and its views must show it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

import asyncpg

from operations.errors import CouldNotCheck
from operations.verify.findings import Difference, Field, Findings
from readmodels import ReadModel

_AMOUNTS: Final = ("orders", "gross", "discount", "net", "voids")

# One statement each, so that both sides are of one moment. A partition that is being folded again has its
# totals set right at the end.
_SALES_TOTALS = """
WITH contributed AS (
    SELECT tenant_id, business_day, hour, cashier_id, currency, partition,
           sum(orders) AS orders, sum(gross) AS gross, sum(discount) AS discount, sum(net) AS net,
           sum(voids) AS voids
    FROM projections.sales_{generation}_orders WHERE business_day IS NOT NULL
    GROUP BY tenant_id, business_day, hour, cashier_id, currency, partition
)
SELECT tenant_id, business_day, hour, cashier_id, currency, partition,
       coalesce(t.orders, 0) AS found_orders, coalesce(c.orders, 0) AS due_orders,
       coalesce(t.gross, 0) AS found_gross, coalesce(c.gross, 0) AS due_gross,
       coalesce(t.discount, 0) AS found_discount, coalesce(c.discount, 0) AS due_discount,
       coalesce(t.net, 0) AS found_net, coalesce(c.net, 0) AS due_net,
       coalesce(t.voids, 0) AS found_voids, coalesce(c.voids, 0) AS due_voids
FROM projections.sales_{generation}_totals AS t
FULL JOIN contributed AS c USING (tenant_id, business_day, hour, cashier_id, currency, partition)
WHERE (coalesce(t.orders, 0), coalesce(t.gross, 0), coalesce(t.discount, 0), coalesce(t.net, 0),
       coalesce(t.voids, 0))
    <> (coalesce(c.orders, 0), coalesce(c.gross, 0), coalesce(c.discount, 0), coalesce(c.net, 0),
        coalesce(c.voids, 0))
ORDER BY tenant_id, business_day, hour, cashier_id, currency, partition
"""
_SUMS: Mapping[str, str] = {"sales": _SALES_TOTALS}

_REFOLDING = """
SELECT EXISTS (
    SELECT FROM projections.checkpoints WHERE read_model = $1 AND generation = $2 AND refolding
)
"""


async def check_sums(conn: asyncpg.Connection, live: ReadModel, findings: Findings) -> None:
    """Compare a read model's totals with the contributions of its orders, where it has totals.

    Raises CouldNotCheck while orders are being folded again: the totals follow at its end.
    """
    sums = _SUMS.get(live.name)
    if sums is None:
        return
    if await conn.fetchval(_REFOLDING, live.name, live.generation):
        raise CouldNotCheck(f"{live.name} is being folded again after a rewind: wait until `till lag` is 0")
    for row in await conn.fetch(sums.format(generation=live.generation)):
        named = {name: value for name, value in row.items() if not name.startswith(("found_", "due_"))}
        identity = [Field(name, value, value, differs=False) for name, value in named.items()]
        amounts = [
            Field(name, found, due, differs=found != due)
            for name in _AMOUNTS
            for found, due in [(row[f"found_{name}"], row[f"due_{name}"])]
        ]
        what = "a total is not the sum of what the orders contribute"
        findings.differ(Difference(live.name, what, fields=[*identity, *amounts]))


async def check_views(conn: asyncpg.Connection, live: ReadModel, findings: Findings) -> None:
    """Check that the views, which everybody reads, read the live generation."""
    for view in live.views:
        text = await conn.fetchval(
            "SELECT pg_get_viewdef(to_regclass('read_models.' || quote_ident($1)))", view
        )
        if text is None:
            findings.differ(Difference(live.name, f"there is no view read_models.{view}"))
        elif not re.search(rf"\b{live.name}_{live.generation}(?!\d)", text):
            what = f"the view read_models.{view} does not read the live generation, {live.generation}"
            findings.differ(Difference(live.name, what))
