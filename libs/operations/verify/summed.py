"""What a read model sums over orders must be the sum of what they contribute, and its views must show it."""

import re

import asyncpg

from operations.errors import CouldNotCheck
from operations.verify.findings import Field, Findings, Mismatch
from readmodels import ReadModel
from readmodels.checkpoints import Checkpoints


async def check_sums(conn: asyncpg.Connection, live: ReadModel, topic: str, findings: Findings) -> None:
    """Compare a read model's totals with the contributions of its orders, where it has totals.

    Raises CouldNotCheck while orders are being folded again: the totals follow at its end.
    """
    if live.check_sql is None:
        return
    checkpoints = await Checkpoints(live.name, live.generation, topic).read(conn)
    if any(each.refolding for each in checkpoints.values()):
        raise CouldNotCheck(f"{live.name} is being folded again after a rewind: wait until `till lag` is 0")
    for row in await conn.fetch(live.check_sql.format(generation=live.generation)):
        named = {name: value for name, value in row.items() if not name.startswith(("found_", "due_"))}
        identity = [Field(name, value, value, differs=False) for name, value in named.items()]
        amounts = [
            Field(name, found, due, differs=found != due)
            for key, found in row.items()
            if key.startswith("found_")
            for name, due in [(key.removeprefix("found_"), row[key.replace("found_", "due_", 1)])]
        ]
        what = "a total is not the sum of what the orders contribute"
        findings.differ(Mismatch(live.name, what, fields=[*identity, *amounts]))


async def check_views(conn: asyncpg.Connection, live: ReadModel, findings: Findings) -> None:
    """Check that the views, which everybody reads, read the live generation."""
    for view in live.views:
        text = await conn.fetchval(
            "SELECT pg_get_viewdef(to_regclass('read_models.' || quote_ident($1)))", view
        )
        if text is None:
            findings.differ(Mismatch(live.name, f"there is no view read_models.{view}"))
        elif not re.search(rf"\b{live.name}_{live.generation}(?!\d)", text):
            what = f"the view read_models.{view} does not read the live generation, {live.generation}"
            findings.differ(Mismatch(live.name, what))
