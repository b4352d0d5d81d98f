"""Servers that are somebody else's: settings alone make an installation on them."""

import asyncio
import json
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from pydantic import SecretStr

from commands import ORDERS
from demo import commands, compare, expected_figures, read_baskets, read_figures
from demo.selection import order_id_of
from eventstore import LOGIN_ROLES
from harness.arrival import wait_for_arrival
from harness.installation import Installation
from harness.till_process import run_till
from readmodels import READ_MODELS
from runtime import Settings
from till.connecting import query_connection

COUNT = 20


@pytest.fixture
def name(postgres_server: Any) -> Iterator[str]:
    """Give the name of a database that is not there yet; it is gone after the test."""
    name = f"tillstream-test-{secrets.token_hex(6)}"
    yield name
    asyncio.run(execute(postgres_server.admin_dsn, f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)'))


async def execute(dsn: str, statement: str) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


async def test_an_installation_is_made_by_settings_alone(
    installation: Installation, postgres_server: Any, name: str, tmp_path: Path
) -> None:
    """`till migrate` makes all that is missing, once; services and till then need their settings only."""
    # The roles are the whole server's, so they keep the passwords that the other tests know.
    passwords = {role: postgres_server.password(role) for role in LOGIN_ROLES}
    environment = {
        "TILLSTREAM_KAFKA_BOOTSTRAP_SERVERS": installation.bootstrap_servers,
        "TILLSTREAM_TOPIC_PREFIX": f"{installation.prefix}external.",
        "TILLSTREAM_DATABASE_URL": postgres_server.dsn(name, "query"),
    }

    def till(*arguments: str, **more: str) -> Any:
        whole = {**os.environ, **environment, **more}
        done = run_till(whole, tmp_path, *arguments, "--output", "json")
        assert done.returncode == 0, done.stderr
        assert not any(password in done.stdout + done.stderr for password in passwords.values())
        return json.loads(done.stdout)

    admin = {
        "TILLSTREAM_ADMIN_DATABASE_URL": postgres_server.dsn(name),
        "TILLSTREAM_ROLE_PASSWORDS": json.dumps(passwords),
    }
    made = await asyncio.to_thread(till, "migrate", **admin)
    assert made["database"] == name
    assert made["migrations"]
    topics = ORDERS.topics(environment["TILLSTREAM_TOPIC_PREFIX"])
    assert set(made["topics"]) == set(topics.configurations())
    again = await asyncio.to_thread(till, "migrate", **admin)
    assert (again["migrations"], again["topics"]) == ([], [])

    projectors = [("projector", read_model) for read_model in READ_MODELS]
    for service in [("command_service",), ("outbox_relay",), *projectors]:
        installation.service(
            *service, topic_prefix=topics.prefix, database_url=postgres_server.dsn(name, service[0])
        )
    assert (await asyncio.to_thread(till, "load", "--orders", str(COUNT)))["orders"] == COUNT
    where = Settings(
        kafka_bootstrap_servers=installation.bootstrap_servers,
        topic_prefix=topics.prefix,
        database_url=SecretStr(environment["TILLSTREAM_DATABASE_URL"]),
    )
    _, baskets = read_baskets(COUNT)
    commands_of = {order_id_of(basket.basket_id): len(list(commands(basket))) for basket in baskets}
    await wait_for_arrival(where, commands_of)
    async with query_connection(where) as connection:
        found = await read_figures(connection)
    assert compare(expected_figures(COUNT, found.orders.keys()), found).differences == []
