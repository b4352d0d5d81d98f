"""What database and scratch tables know of a page of events, outcomes or commands: a question a page.

A page comes as columns, and what is told of it by the places in it, counted from 0.
"""

from collections.abc import Sequence
from typing import NamedTuple
from uuid import UUID

from operations.recover.columns import lines, unnested
from operations.recover.lost_messages import CommandKey, Told, TopicEvent
from operations.recover.work import Work

# Here and below, LIMIT 1 keeps the planner from turning some thousand key lookups into a scan of a table.
_HAS_OUTCOME = """(
    SELECT true FROM command_outcomes WHERE tenant_id = w.tenant_id AND command_id = w.command_id LIMIT 1
)"""
_COMMANDS = f"""(
    SELECT tenant_id, command_id::uuid, ordinal
    FROM unnest({unnested(1, 2)}) WITH ORDINALITY AS w (tenant_id, command_id, ordinal)
) AS w"""  # noqa: S608 - constants of ours
_COMPARE_EVENTS = f"""
WITH w AS MATERIALIZED (
    SELECT tenant_id, aggregate_id::uuid, version::bigint, event_id::uuid, command_id::uuid, ordinal
    FROM unnest({unnested(1, 2, 3, 4, 5)})
        WITH ORDINALITY AS w (tenant_id, aggregate_id, version, event_id, command_id, ordinal)
),
unanswered AS (
    INSERT INTO pg_temp.unanswered
    SELECT tenant_id, command_id, aggregate_id FROM w WHERE {_HAS_OUTCOME} IS NULL ORDER BY ordinal
    ON CONFLICT DO NOTHING
)
SELECT w.ordinal, e.event_id
FROM w
LEFT JOIN LATERAL (
    SELECT event_id
    FROM {{events}}
    WHERE tenant_id = w.tenant_id AND aggregate_id = w.aggregate_id AND version = w.version
    LIMIT 1
) AS e ON true
WHERE e.event_id IS DISTINCT FROM w.event_id
ORDER BY w.ordinal
"""  # noqa: S608 - constants of ours
_COMPARE_OUTCOMES = f"""
SELECT w.ordinal, o.digest IS NOT NULL
FROM (
    SELECT tenant_id, command_id::uuid, decode(digest, 'hex') AS digest, ordinal
    FROM unnest({unnested(1, 2, 3)})
        WITH ORDINALITY AS w (tenant_id, command_id, digest, ordinal)
) AS w
LEFT JOIN LATERAL (
    SELECT sha256(convert_to(headers::text, 'UTF8') || value) AS digest
    FROM command_outcomes
    WHERE tenant_id = w.tenant_id AND command_id = w.command_id
    LIMIT 1
) AS o ON true
WHERE o.digest IS DISTINCT FROM w.digest
ORDER BY w.ordinal
"""  # noqa: S608 - constants of ours
_IS_KEPT = """(
    SELECT true FROM pg_temp.{table} WHERE tenant_id = w.tenant_id AND command_id = w.command_id LIMIT 1
)"""
_UNKNOWN = f"""
SELECT w.ordinal
FROM {_COMMANDS}
WHERE coalesce({_HAS_OUTCOME}, {_IS_KEPT.format(table="lost_outcomes")},
    {_IS_KEPT.format(table="unanswered")}) IS NULL
ORDER BY w.ordinal
"""  # noqa: S608 - constants of ours
# A command's events follow each other in the log: where none of it is beside those told, there are no others.
_KNOWN_OF = f"""
SELECT w.ordinal, u.order_id AS order_with_events,
    l.code IS NOT NULL OR l.event_ids = ARRAY(
        SELECT event_id
        FROM {{events}}
        WHERE tenant_id = w.tenant_id AND aggregate_id = l.order_id
            AND version BETWEEN l.version - cardinality(l.event_ids) AND l.version + 1
            AND metadata->>'causation_id' = w.command_id::text
        ORDER BY version
    ) AS complete,
    l.order_id, l.decided_at, l.code, l.version, l.event_ids
FROM {_COMMANDS}
LEFT JOIN LATERAL (
    SELECT *
    FROM pg_temp.lost_outcomes
    WHERE tenant_id = w.tenant_id AND command_id = w.command_id
    LIMIT 1
) AS l ON true
LEFT JOIN LATERAL (
    SELECT order_id
    FROM pg_temp.unanswered
    WHERE tenant_id = w.tenant_id AND command_id = w.command_id
    LIMIT 1
) AS u ON true
WHERE {_HAS_OUTCOME} IS NULL
ORDER BY w.ordinal
"""  # noqa: S608 - constants of ours


class Known(NamedTuple):
    """What is known of a command that has no outcome in the database.

    That is the order of its events, if any were kept, and what its outcome on the topic says. It is
    `complete` where the log has all events that it names, and no others of the command.
    """

    order_with_events: UUID | None
    complete: bool
    told: Told | None


async def compare_events(work: Work, events: Sequence[TopicEvent]) -> list[tuple[int, UUID | None]]:
    """Return which of the events aren't in the log, each with the id of the one in its place, if any.

    The commands of events that have no outcome in the database are kept in the scratch table.
    """
    rows = await work.conn.fetch(
        work.context.store.tables.sql(_COMPARE_EVENTS),
        lines(event.tenant_id for event in events),
        lines(event.aggregate_id for event in events),
        lines(event.version for event in events),
        lines(event.event_id for event in events),
        lines(event.command_id for event in events),
    )
    return [(ordinal - 1, found) for ordinal, found in rows]


async def compare_outcomes(
    work: Work, keys: Sequence[CommandKey], digests: Sequence[str]
) -> list[tuple[int, bool]]:
    """Return which of the outcomes the database hasn't, each with whether it has another of the command."""
    rows = await work.conn.fetch(_COMPARE_OUTCOMES, *_columns(keys), lines(digests))
    return [(ordinal - 1, has_another) for ordinal, has_another in rows]


async def unknown(work: Work, keys: Sequence[CommandKey]) -> list[int]:
    """Return which of the commands neither the database nor the topics know anything of."""
    return [ordinal - 1 for (ordinal,) in await work.conn.fetch(_UNKNOWN, *_columns(keys))]


async def known_of(work: Work, keys: Sequence[CommandKey]) -> dict[int, Known]:
    """Return, of those commands that have no outcome in the database, what is known."""
    rows = await work.conn.fetch(work.context.store.tables.sql(_KNOWN_OF), *_columns(keys))
    return {
        ordinal - 1: Known(order_with_events, bool(complete), None if told[1] is None else Told.of_row(*told))
        for ordinal, order_with_events, complete, *told in rows
    }


def _columns(keys: Sequence[CommandKey]) -> tuple[str, str]:
    return lines(tenant_id for tenant_id, _ in keys), lines(command_id for _, command_id in keys)
