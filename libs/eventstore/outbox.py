"""How a message lies in the outbox: its headers as text, its shard."""

import json
import zlib
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

from pydantic_core import PydanticSerializationError, to_json

from eventstore.connection import Connection

SHARDS = 16
# The first key of the two-key advisory locks: it keeps them apart from other users of the database.
SENDERS_LOCK = 0x0071_1157
"""Whoever sends a shard's messages holds the advisory lock of this and the shard's number."""
CHANNEL = "tillstream_outbox"
"""Whoever sends messages listens on it."""


def encode_headers(headers: Iterable[tuple[str, bytes | None]]) -> str:
    """Give headers as a JSON array of pairs, in their order, with repeats and nulls, in ASCII.

    Values are UTF-8 as a rule; any other byte becomes an escaped lone surrogate (PEP 383's surrogateescape),
    which PostgreSQL's `json` keeps as it stands and its `jsonb` would refuse.
    """
    pairs = list(headers)
    try:
        return to_json(pairs).decode("ascii")
    except (UnicodeDecodeError, PydanticSerializationError):
        return json.dumps(
            [
                (name, None if value is None else value.decode("utf-8", "surrogateescape"))
                for name, value in pairs
            ]
        )


def decode_headers(text: str) -> list[tuple[str, bytes | None]]:
    """Take headers back from what `encode_headers` gave."""
    return [
        (name, None if value is None else value.encode("utf-8", "surrogateescape"))
        for name, value in json.loads(text)
    ]


def shard_of(key: bytes) -> int:
    """Give the shard, 0 to 15, that keeps the messages of this key in order. Stored: the same for ever."""
    return zlib.crc32(key) % SHARDS


@asynccontextmanager
async def storing_messages(conn: Connection) -> AsyncIterator[None]:
    """Have a transaction until the body ends; once it is committed, whoever sends messages is woken.

    That goes in one round trip with the commit, and is no part of it: within the transaction, NOTIFY would
    hold a lock of the whole database until the commit is on the disk, and writers would queue up. Should it
    fail, the error is raised though all is committed.
    """
    try:
        await conn.execute("BEGIN")
        yield
    except BaseException:
        if not conn.is_closed():
            await conn.execute("ROLLBACK")
        raise
    await conn.execute(f"COMMIT; NOTIFY {CHANNEL}")
