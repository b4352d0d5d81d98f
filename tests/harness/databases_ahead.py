"""Databases for tests, made before they are asked for and dropped after: a test need not wait for either."""

import asyncio
import secrets
from collections.abc import Callable, Mapping
from queue import PriorityQueue, Queue
from threading import Thread
from types import TracebackType
from typing import Self

import asyncpg

from eventstore import migrate

ROLES = ("command_service", "outbox_relay", "projector", "query", "query_service", "operator", "analyst")
# Copies that lie ready: about as many as a few workers take at the same time.
_AHEAD = 8
_MAKE, _DROP, _END = range(3)
# Copies files instead of logging each of their blocks: a third of the writing.
_COPY = "CREATE DATABASE {} TEMPLATE {} STRATEGY file_copy"


class DatabasesAhead:
    """Copies of one migrated database: a copy is much quicker than a migration.

    A thread makes and drops them, and makes first. `password` gives a role's.
    """

    def __init__(self, admin_dsn: str, password: Callable[[str], str]) -> None:
        self._admin_dsn = admin_dsn
        self._passwords = {role: password(role) for role in (f"tillstream_{role}" for role in ROLES)}
        self._template = f"tillstream_template_{secrets.token_hex(6)}"
        self._jobs: PriorityQueue[tuple[int, str]] = PriorityQueue()
        self._ready: Queue[str | Exception] = Queue()
        self._thread = Thread(target=self._work)

    def take(self) -> str:
        """Return the name of a copy that is the caller's from now on."""
        self._want_one()
        made = self._ready.get()
        if isinstance(made, Exception):
            raise made
        return made

    def give_back(self, name: str) -> None:
        """Have a copy dropped when there is nothing better to do."""
        self._jobs.put((_DROP, name))

    def __enter__(self) -> Self:
        for _ in range(_AHEAD):
            self._want_one()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._jobs.put((_END, ""))
        self._thread.join()

    def _want_one(self) -> None:
        self._jobs.put((_MAKE, f"tillstream_test_{secrets.token_hex(6)}"))

    def _work(self) -> None:
        try:
            asyncio.run(self._make_and_drop())
        except Exception as error:  # noqa: BLE001 - whoever takes one is told
            # For all who wait, and for all who come.
            while self._jobs.get()[0] != _END:
                self._ready.put(error)

    async def _make_and_drop(self) -> None:
        conn = await asyncpg.connect(self._admin_dsn)
        there: set[str] = set()
        try:
            await make_database(conn, self._admin_dsn, self._template, self._passwords)
            while True:
                job, name = await asyncio.to_thread(self._jobs.get)
                if job == _MAKE:
                    await conn.execute(_COPY.format(name, self._template))
                    there.add(name)
                    self._ready.put(name)
                elif job == _DROP:
                    await _drop(conn, name)
                    there.remove(name)
                else:
                    break
        finally:
            # What nobody took, what a worker that died had, and the template.
            for name in (*there, self._template):
                await _drop(conn, name)
            await conn.close()


async def make_database(
    conn: asyncpg.Connection, admin_dsn: str, name: str, passwords: Mapping[str, str]
) -> None:
    """Make a migrated database, and give the roles their passwords."""
    await conn.execute(f"CREATE DATABASE {name}")
    inside = await asyncpg.connect(admin_dsn, database=name)
    try:
        await migrate(inside)
        # A client computes all rounds of a password's hash at each connection, thousands of times in all.
        await inside.execute("SET scram_iterations = 1")
        for role, password in passwords.items():
            await inside.execute(f"ALTER ROLE {role} PASSWORD '{password}'")
    finally:
        await inside.close()


async def _drop(conn: asyncpg.Connection, name: str) -> None:
    await conn.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
