"""PostgreSQL's own TLS, in a container: the embedded PostgreSQL is built without OpenSSL."""

import asyncio
import re
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import asyncpg
import pytest
import trustme
from pydantic import SecretStr

from eventstore import migrate, set_passwords
from harness.waiting import eventually
from local.servers.security import Tls
from operations.errors import Unreachable
from runtime import Database, Settings
from till.connecting import query_connection

ROLE, PASSWORD = "tillstream_query", "a2b4c6d8e0"


async def switch_on_tls(admin_dsn: str, tls: Tls) -> None:
    """Give the server its certificate, and let it take clients with TLS only."""
    connection = await asyncpg.connect(admin_dsn)
    try:
        for name, file in (("server.crt", tls.certificate_file), ("server.key", tls.key_file)):
            lines = f"unnest(string_to_array('{file.read_text()}', E'\\n'))"
            # Its working folder is the data folder, where it looks for both; it makes files of mode 0600.
            await connection.execute(f"COPY (SELECT {lines}) TO PROGRAM 'cat > {name}'")
        await connection.execute("ALTER SYSTEM SET ssl = on")
        await connection.execute("COPY (SELECT) TO PROGRAM 'sed -i s/^host/hostssl/ pg_hba.conf'")
        await migrate(connection)
        await set_passwords(connection, {ROLE: PASSWORD})
        await connection.execute("SELECT pg_reload_conf()")

        async def on() -> bool:
            return bool(await connection.fetchval("SHOW ssl") == "on")

        await eventually(on)
    finally:
        await connection.close()


@pytest.fixture(scope="module")
def port(servers: str, postgres_tls: Tls) -> Iterator[int]:
    """Give the port of a PostgreSQL that demands TLS by itself."""
    if servers != "containers":
        pytest.skip("the embedded PostgreSQL has no TLS: TILLSTREAM_SERVERS=containers runs it")
    from harness.containers import POSTGRES_IMAGE, postgres_container  # noqa: PLC0415 - as in tests/conftest.py

    with postgres_container() as admin_dsn:
        try:
            asyncio.run(switch_on_tls(admin_dsn, postgres_tls))
        except asyncpg.InvalidParameterValueError as error:
            if "not supported by this build" not in str(error):
                raise
            pytest.skip(
                f"the PostgreSQL of the image {POSTGRES_IMAGE} here is built without OpenSSL: {error}"
            )
        yield urlsplit(admin_dsn).port or 5432


def settings(host: str, port: int, mode: str, ca_file: Path) -> Settings:
    url = f"postgresql://{ROLE}:{PASSWORD}@{host}:{port}/postgres?sslmode={mode}"
    if mode == "verify-full":
        url += f"&sslrootcert={quote(str(ca_file))}"
    return Settings(database_url=SecretStr(url))


async def connected(where: Settings) -> asyncpg.Record:
    """Connect as a service does, and give who PostgreSQL says is connected and how."""
    database = Database(where.database_url, "test")
    try:
        connection = await database.connection()
        return await connection.fetchrow(
            "SELECT current_user AS role, ssl, version FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
        )
    finally:
        await database.close()


async def test_verify_full_is_let_in(port: int, postgres_tls: Tls) -> None:
    """With the authority's certificate a service's settings reach PostgreSQL over TLS, under its role."""
    found = await connected(settings("127.0.0.1", port, "verify-full", postgres_tls.ca_file))
    assert (found["role"], found["ssl"]) == (ROLE, True)
    assert found["version"] in {"TLSv1.2", "TLSv1.3"}


@pytest.mark.parametrize(
    ("host", "trusted", "told"),
    [
        ("localhost", True, "Hostname mismatch, certificate is not valid for 'localhost'"),
        ("127.0.0.1", False, "unable to get local issuer certificate"),
    ],
)
async def test_another_host_or_authority_is_refused(
    port: int, postgres_tls: Tls, tmp_path: Path, host: str, *, trusted: bool, told: str
) -> None:
    """A certificate for another host or of another authority is refused, and the error says which it is."""
    other = tmp_path / "ca.pem"
    trustme.CA().cert_pem.write_to_path(other)
    where = settings(host, port, "verify-full", postgres_tls.ca_file if trusted else other)
    with pytest.raises(ssl.SSLCertVerificationError, match=re.escape(told)):
        await connected(where)
    with pytest.raises(
        Unreachable, match=f"PostgreSQL at {host}:{port} does not let us in: .*{re.escape(told)}"
    ) as error:
        async with query_connection(where):
            pass
    assert PASSWORD not in str(error.value)


async def test_nobody_is_let_in_without_tls(port: int, postgres_tls: Tls) -> None:
    """Where pg_hba.conf has only `hostssl` lines, a right password is refused that isn't encrypted."""
    with pytest.raises(asyncpg.InvalidAuthorizationSpecificationError, match="no encryption"):
        await connected(settings("127.0.0.1", port, "disable", postgres_tls.ca_file))


async def test_verify_full_sends_no_password_unencrypted(database: Any, postgres_tls: Tls) -> None:
    """With verify-full, a server that offers no TLS, or not our certificate, gets no password."""
    url = f"{database.dsn('query')}?sslmode=verify-full&sslrootcert={quote(str(postgres_tls.ca_file))}"
    with pytest.raises(OSError, match=r"rejected SSL upgrade|certificate verify failed"):
        await connected(Settings(database_url=SecretStr(url)))
