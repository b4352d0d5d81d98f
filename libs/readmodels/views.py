"""The views of read models: who may read them, by their own rights, and so what they need beneath."""

from collections.abc import Sequence

import asyncpg

_PUBLISHED = """
SELECT count(*) = cardinality($1::name[]) FROM pg_class
WHERE relnamespace = 'read_models'::regnamespace AND relname = ANY ($1)
    AND 'security_invoker=true' = ANY (reloptions)
    AND has_table_privilege('tillstream_query_service', oid, 'SELECT')
"""
_COLUMNS = """
SELECT quote_ident(table_name) AS name, string_agg(quote_ident(column_name), ', ') AS columns
FROM information_schema.view_column_usage
WHERE view_schema = 'read_models' AND view_name = ANY ($1) AND table_schema = 'projections'
GROUP BY table_name
"""


async def are_published(conn: asyncpg.Connection, views: Sequence[str]) -> bool:
    """Tell whether these views are there, as `open_to_readers` leaves them: an earlier build's are not."""
    return bool(await conn.fetchval(_PUBLISHED, views))


async def open_to_readers(conn: asyncpg.Connection, views: Sequence[str]) -> None:
    """Have views read by the rights of who asks, and let our readers read the columns they show, no others.

    For the views' owner, after each `CREATE OR REPLACE`, which forgets the first. Who may read the views
    themselves, the schema's default privileges say; but the query service must not before they are so.
    """
    for view in views:
        await conn.execute(f'ALTER VIEW read_models."{view}" SET (security_invoker = true)')
        await conn.execute(f'GRANT SELECT ON read_models."{view}" TO tillstream_query_service')
    for table, columns in await conn.fetch(_COLUMNS, views):
        await conn.execute(
            f"GRANT SELECT ({columns}) ON projections.{table}"
            " TO tillstream_query, tillstream_analyst, tillstream_query_service"
        )
