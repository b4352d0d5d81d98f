"""Tables and views as builds before row-level security made them."""

from collections.abc import Sequence

import asyncpg

from readmodels import tables_of

_UNDO = """
ALTER TABLE {table} DISABLE ROW LEVEL SECURITY, NO FORCE ROW LEVEL SECURITY;
DROP POLICY all_tenants ON {table};
DROP POLICY own_tenant ON {table};
REVOKE SELECT ({columns}) ON {table} FROM tillstream_query, tillstream_analyst, tillstream_query_service;
"""
_UNDO_VIEW = """
ALTER VIEW read_models.{view} RESET (security_invoker);
REVOKE ALL ON read_models.{view} FROM tillstream_query_service;
"""


async def leave_tenants_together(projector: asyncpg.Connection, name: str, views: Sequence[str]) -> None:
    """Take from a read model's first generation, and from its views, what keeps the tenants apart."""
    for table in (await tables_of(projector, name, 1)).values():
        columns = await projector.fetch(
            "SELECT quote_ident(attname) FROM pg_attribute WHERE attnum > 0 AND attrelid = to_regclass($1)"
            " AND NOT attisdropped",
            f"projections.{table}",
        )
        listed = ", ".join(row[0] for row in columns)
        await projector.execute(_UNDO.format(table=f"projections.{table}", columns=listed))
    for view in views:
        await projector.execute(_UNDO_VIEW.format(view=view))
