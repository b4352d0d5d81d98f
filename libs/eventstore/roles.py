"""The roles that services log in with, and their passwords."""

import base64
import hashlib
import hmac
import secrets
from collections.abc import Mapping

from eventstore.connection import Connection

OWNER_ROLE = "tillstream_owner"
LOGIN_ROLES = (
    "tillstream_command_service",
    "tillstream_outbox_relay",
    "tillstream_projector",
    "tillstream_query",
    "tillstream_query_service",
    "tillstream_operator",
    "tillstream_analyst",
)

# Seconds, of roles that only read: a forgotten transaction keeps dead rows from being cleared away.
_IDLE_IN_TRANSACTION = {"tillstream_analyst": 300, "tillstream_query": 60, "tillstream_query_service": 60}
_ITERATIONS = 4096  # PostgreSQL's own default


async def end_forgotten_transactions(conn: Connection) -> None:
    """Have PostgreSQL end the sessions of roles that only read when a transaction of theirs stands idle.

    Not part of a migration: a backup doesn't hold what is set for a role in a database.
    """
    database = await conn.fetchval("SELECT quote_ident(current_database())")
    for role, seconds in _IDLE_IN_TRANSACTION.items():
        await conn.execute(
            f"ALTER ROLE {role} IN DATABASE {database} SET idle_in_transaction_session_timeout = '{seconds}s'"
        )


async def set_passwords(conn: Connection, passwords: Mapping[str, str]) -> None:
    """Set the passwords of roles in `LOGIN_ROLES`, all or none.

    Only a SCRAM verifier is sent, so that no password can reach a server log. Passwords are printable ASCII:
    others would need SASLprep. Raises `ValueError` for another role or another password.
    """
    for role, password in passwords.items():
        if role not in LOGIN_ROLES:
            raise ValueError(f"{role!r} is not a role that logs in")
        if not (password and password.isascii() and password.isprintable()):
            raise ValueError(f"the password of {role} must be printable ASCII and not empty")
    async with conn.transaction():
        for role, password in sorted(passwords.items()):
            # ALTER ROLE takes no parameters; a role of the tuple and a verifier hold nothing to quote.
            await conn.execute(f"ALTER ROLE {role} PASSWORD '{_scram_verifier(password)}'")


def _scram_verifier(password: str) -> str:
    """Give what PostgreSQL keeps of a password (RFC 5802, in the form of its pg_authid catalogue)."""
    salt = secrets.token_bytes(16)
    salted = hashlib.pbkdf2_hmac("sha256", password.encode("ascii"), salt, _ITERATIONS)
    stored_key = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    server_key = hmac.digest(salted, b"Server Key", "sha256")
    salt64, stored64, server64 = (base64.b64encode(part).decode() for part in (salt, stored_key, server_key))
    return f"SCRAM-SHA-256${_ITERATIONS}:{salt64}${stored64}:{server64}"
