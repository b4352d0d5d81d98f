"""The record of what operators did: an action when it begins, and its result when it ends."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import asyncpg
from pydantic_core import from_json, to_json

_BEGIN = "INSERT INTO operations.actions (actor, action, arguments) VALUES ($1, $2, $3::jsonb) RETURNING id"
_END = "INSERT INTO operations.results (action_id, outcome, details) VALUES ($1, $2, $3::jsonb)"

_READ = """
SELECT id, started_at, actor, role::text, action, arguments, outcome AS result, finished_at, details
FROM operations.actions LEFT JOIN operations.results ON action_id = id
WHERE ($1::text IS NULL OR action = $1 OR starts_with(action, $1 || ' '))
    AND ($2::timestamptz IS NULL OR started_at >= $2)
ORDER BY id DESC LIMIT $3
"""


@dataclass(frozen=True, slots=True)
class Action:
    """An action under way; what is put into `details` is kept as its result."""

    id: int
    details: dict[str, Any] = field(default_factory=dict)


@asynccontextmanager
async def recorded(
    conn: asyncpg.Connection, actor: str, action: str, arguments: Mapping[str, Any]
) -> AsyncIterator[Action]:
    """Record the body as an action of `actor` (a person, as `user@host`), and how it ended.

    An exception is recorded as `failed`, Ctrl-C as `interrupted`; both go on. Where the process is killed,
    the action has no result. Not within a transaction: what is recorded stays, whatever fails. Arguments
    and details are JSON values and hold no secrets.
    """
    under_way = Action(await conn.fetchval(_BEGIN, actor, action, to_json(dict(arguments)).decode()))
    try:
        yield under_way
    except (KeyboardInterrupt, asyncio.CancelledError):
        await _end(conn, under_way, "interrupted")
        raise
    except Exception as error:
        under_way.details.setdefault("error", str(error) or repr(error))
        await _end(conn, under_way, "failed")
        raise
    await _end(conn, under_way, "done")


async def read_actions(
    conn: asyncpg.Connection, action: str | None, since: datetime | None, limit: int
) -> list[dict[str, Any]]:
    """Return what was done, newest first: of one kind (`dead-letters` for all of its verbs), or begun since.

    `result` and `details` are None while it is under way, and for good where it was broken off.
    """
    return [
        {**row, "arguments": from_json(row["arguments"]), "details": from_json(row["details"] or "null")}
        for row in await conn.fetch(_READ, action, since, limit)
    ]


async def _end(conn: asyncpg.Connection, action: Action, outcome: str) -> None:
    await conn.execute(_END, action.id, outcome, to_json(action.details).decode())
