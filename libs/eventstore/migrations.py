"""Brings a database to this build's schema: numbered SQL files, each applied once."""

import hashlib
from importlib import resources

from eventstore.connection import Connection
from eventstore.errors import MigrationRefused

_LOCK = 0x7469_6C6C_7374_7265  # "tillstre": any number that nobody else locks

_TABLE = """
CREATE TABLE IF NOT EXISTS schema_migrations (
    name text COLLATE "C" PRIMARY KEY,
    sha256 text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
);
REVOKE ALL ON schema_migrations FROM PUBLIC;
"""


async def migrate(conn: Connection) -> list[str]:
    """Apply the migrations that this database lacks, in order, and give their names.

    All of them in one transaction, under an advisory lock: of several at a time one works and the others then
    find nothing to do. Needs a superuser, or a role that may create roles and act as `tillstream_owner`.
    Raises `MigrationRefused` if an applied file has been edited since, or is none of this build's.
    """
    files = _files()
    async with conn.transaction():
        await conn.execute("SELECT pg_advisory_xact_lock($1)", _LOCK)
        await conn.execute(_TABLE)
        rows = await conn.fetch("SELECT name, sha256 FROM schema_migrations")
        applied: dict[str, str] = {row["name"]: row["sha256"] for row in rows}
        _check(applied, files)
        new = [name for name in files if name not in applied]
        for name in new:
            await conn.execute(files[name].decode())
            await conn.execute(
                "INSERT INTO schema_migrations (name, sha256) VALUES ($1, $2)", name, _sha256(files[name])
            )
    return new


def _files() -> dict[str, bytes]:
    folder = resources.files("eventstore") / "schema"
    return {
        file.name: file.read_bytes()
        for file in sorted(folder.iterdir(), key=lambda file: file.name)
        if file.name.endswith(".sql")
    }


def _check(applied: dict[str, str], files: dict[str, bytes]) -> None:
    for name, sha256 in sorted(applied.items()):
        if name not in files:
            raise MigrationRefused(f"{name} was applied by a newer build: deploy that one")
        if sha256 != _sha256(files[name]):
            raise MigrationRefused(f"{name} has been edited since it was applied: add a new file instead")


def _sha256(text: bytes) -> str:
    return hashlib.sha256(text).hexdigest()
