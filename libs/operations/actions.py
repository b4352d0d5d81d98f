"""The record of what operators did: an action when it begins, and its result when it ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import asyncpg
from pydantic_core import to_json

_BEGIN = "INSERT INTO operations.actions (actor, action, arguments) VALUES ($1, $2, $3::jsonb) RETURNING id"
_END = "INSERT INTO operations.results (action_id, outcome, details) VALUES ($1, $2, $3::jsonb)"


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


async def _end(conn: asyncpg.Connection, action: Action, outcome: str) -> None:
    await conn.execute(_END, action.id, outcome, to_json(action.details).decode())
