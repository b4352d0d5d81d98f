"""An analyst's own copy of the orders, kept by what docs/analytics.md says, with a role of their own."""

import re
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg

DOCUMENT = Path(__file__).parents[3] / "docs" / "analytics.md"


def _documented() -> list[str]:
    """Give the document's blocks of SQL: what a superuser does once, and a load."""
    return re.findall(r"```sql\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)


class Reporting:
    """Loads as the document does; `news` has how many rows each load brought."""

    def __init__(self, conn: asyncpg.Connection, schema: str, load: str) -> None:
        self.conn = conn
        self.schema = schema
        # How many came is seen before the commit drops them.
        self._load, _, self._end = load.rpartition("COMMIT;")
        self.news: list[int] = []

    async def load(self) -> int:
        """Bring the copy up to date; return how many rows that brought."""
        await self.conn.execute(self._load)
        self.news.append(await self.conn.fetchval("SELECT count(*) FROM news"))
        await self.conn.execute(f"COMMIT;{self._end}")
        return self.news[-1]

    async def copy(self) -> list[tuple[Any, ...]]:
        """Give the copied orders, each with what their view shows."""
        return await _rows(self.conn, f"{self.schema}.orders")

    async def shown(self) -> list[tuple[Any, ...]]:
        """Give what the view shows."""
        return await _rows(self.conn, "read_models.order_summary")

    async def brought(self, *columns: str) -> list[tuple[Any, ...]]:
        """Load, and give these columns of what is there then."""
        await self.load()
        rows = await self.conn.fetch(f"SELECT {', '.join(columns)} FROM {self.schema}.orders ORDER BY 1")  # noqa: S608 - ours
        return [tuple(row) for row in rows]


async def _rows(conn: asyncpg.Connection, name: str) -> list[tuple[Any, ...]]:
    found = await conn.fetch(f"SELECT * FROM {name} ORDER BY tenant_id, order_id")  # noqa: S608 - ours
    return [tuple(row)[: row_width(row)] for row in found]


def row_width(row: asyncpg.Record) -> int:
    """Give how many columns of a copied row are the view's."""
    return list(row.keys()).index("changed") + 1


@asynccontextmanager
async def reporting(database: Any) -> AsyncIterator[Reporting]:
    """Give a new role with its copy, which is empty; both are gone at the end."""
    name = f"reporting_{secrets.token_hex(6)}"
    once, load = (each.replace("reporting", name) for each in _documented())
    admin = await asyncpg.connect(database.dsn())
    try:
        (place,) = await admin.fetchrow("SELECT quote_ident(current_database())")
        await admin.execute(once.replace("DATABASE tillstream", f"DATABASE {place}"))
        conn = await asyncpg.connect(database.dsn(), user=name, password="choose one")  # noqa: S106 - documented
        try:
            yield Reporting(conn, name, load)
        finally:
            await conn.close()
            await admin.execute(f"DROP OWNED BY {name} CASCADE; DROP ROLE {name}")
    finally:
        await admin.close()
