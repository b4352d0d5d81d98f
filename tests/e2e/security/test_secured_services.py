"""The whole way of the data over TLS, each process as its own principal and database role."""

import asyncio
import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import asyncpg
import httpx
import pytest

from e2e.security.conftest import PREFIX, Dsn, SecuredKafka, client_of
from harness.plain_client import command, headers_of
from harness.processes import ServiceProcess
from harness.till_process import run_till
from harness.waiting import eventually

BASKET = [
    ("CreateOrder", {"cashier_id": "anna", "currency": "EUR"}),
    ("AddItem", {"product_id": "p-1", "name": "Tea", "quantity": "2", "unit_price": "3.50"}),
    ("ConfirmOrder", {}),
]


def arguments_of_all_processes() -> str:
    """Give the command lines of this machine's processes, which every user of it may read."""
    found = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found.append(file.read_bytes().decode(errors="replace"))
        except OSError:
            continue
    return "\n".join(found)


async def test_every_service_works_under_its_own_principal(
    secured_kafka: SecuredKafka, secured_dsn: Dsn, secured: Callable[..., ServiceProcess], tmp_path: Path
) -> None:
    """Commands become outcomes, events and rows over TLS, and no password is in a log or an argument.

    What an operator does to them needs no more than the operator's permissions either.
    """
    # Started afresh, as operators do: what is forked shows no arguments of its own.
    services = [
        secured("command_service", afresh=True),
        secured("outbox_relay", afresh=True),
        secured("projector", "order_summary", afresh=True),
        secured("query_service", afresh=True, development_identity="store-1:anna:manager"),
    ]
    await asyncio.gather(*(service.ready() for service in services))
    order_id = str(uuid4())
    async with client_of(secured_kafka, "upstream") as upstream:
        await upstream.send([command(kind, order_id, data) for kind, data in BASKET])
        outcomes = await upstream.read("orders.outcomes", len(BASKET))
    assert {headers_of(outcome)["ce_type"] for outcome in outcomes} == {"orders.CommandAccepted"}
    async with client_of(secured_kafka, "analyst") as analyst:
        events = await analyst.read("orders.events", len(BASKET))
    assert [headers_of(event)["ce_version"] for event in events] == ["1", "2", "3"]
    connection = await asyncpg.connect(secured_dsn("analyst"))
    try:

        async def total() -> Any:
            return await connection.fetchval(
                "SELECT total::text FROM read_models.order_summary"
                " WHERE order_id = $1 AND status = 'confirmed'",
                UUID(order_id),
            )

        assert await eventually(total) == "7.0000"
    finally:
        await connection.close()
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{services[-1].port}/v1", timeout=30) as client:
        void = {"reason": "returned", "authorised_by": "anna"}
        voiding = {"command_id": str(uuid4()), "type": "VoidOrder", "order_id": order_id, "data": void}
        voided = await client.post("/commands", json=voiding)
        assert (voided.status_code, voided.json()["version"]) == (200, 4), voided.text
        order = await client.get(f"/orders/{order_id}", params={"min_version": 4, "timeout": 20})
        assert (order.status_code, order.json()["status"]) == (200, "voided"), order.text

    environment = secured_kafka.environment(
        "operator",
        topic_prefix=PREFIX,
        database_url=secured_dsn("query"),
        operator_database_url=secured_dsn("operator"),
    )

    def till(*arguments: str) -> str:
        ran = run_till(environment, tmp_path, *arguments)
        assert ran.returncode == 0, ran.stdout + ran.stderr
        return ran.stdout

    def level() -> bool:
        return bool(json.loads(till("lag", "-o", "json"))["read_models"]["order_summary"]["records"] == 0)

    await eventually(lambda: asyncio.to_thread(level))
    # Afresh, as an operator does.
    describing = await asyncio.create_subprocess_exec(
        *[sys.executable, "-m", "till", "kafka", "consumer-groups", "--describe"],
        *["--group", f"{PREFIX}projector.order_summary"],
        env=environment,
        cwd=tmp_path,
        stdout=subprocess.PIPE,
    )
    described = asyncio.create_task(describing.communicate())
    arguments = ""
    while not described.done():
        arguments += await asyncio.to_thread(arguments_of_all_processes)
        await asyncio.sleep(0.5)
    table = (await described)[0].decode()
    assert re.search(rf"{PREFIX}projector\.order_summary\s+{PREFIX}orders\.events\s", table)
    # Kafka's own tool was among them, and so were the services.
    assert "ConsumerGroupCommand" in arguments
    assert "outbox_relay" in arguments
    for verb in (
        ["replay", "order_summary", "--to-earliest", "--execute"],
        ["rebuild", "order_summary"],
        ["verify", "order_summary", "--topic"],
        ["dead-letters", "list"],
    ):
        arguments += await asyncio.to_thread(till, *verb)
    told = arguments + "".join(service.log for service in services)
    secrets = [password for users in secured_kafka.security.passwords.values() for password in users.values()]
    secrets += [urlsplit(secured_dsn(service.name)).password or "" for service in services]
    assert all(secrets)
    assert [secret for secret in secrets if secret in told] == []


async def test_a_service_without_a_permission_ends(
    secured_kafka: SecuredKafka, secured: Callable[..., ServiceProcess]
) -> None:
    """A missing permission ends a service, and its log says so."""
    lost = secured("command_service", **secured_kafka.settings("upstream"))
    assert await lost.ended() == 70, lost.log
    assert "TopicAuthorizationFailedError" in lost.log


@pytest.mark.parametrize(
    ("mode", "host", "trusted", "let_in"),
    [
        ("verify-full", "127.0.0.1", True, True),
        ("verify-full", "localhost", True, False),
        ("verify-full", "127.0.0.1", False, False),
        ("require", "localhost", False, True),
        ("disable", "127.0.0.1", True, False),
    ],
)
async def test_the_address_says_how_postgresql_is_checked(
    secured_dsn: Dsn,
    tmp_path: Path,
    authority: Any,
    *,
    mode: str,
    host: str,
    trusted: bool,
    let_in: bool,
) -> None:
    """With verify-full only the authority's certificate for that host will do; without TLS nothing does."""
    other = tmp_path / "ca.pem"
    (authority if trusted else type(authority)()).cert_pem.write_to_path(other)
    parts = urlsplit(secured_dsn("query"))
    address = parts._replace(
        netloc=parts.netloc.replace("127.0.0.1", host),
        query=f"sslmode={mode}" + (f"&sslrootcert={other}" if mode == "verify-full" else ""),
    ).geturl()
    if let_in:
        connection = await asyncpg.connect(address)
        assert await connection.fetchval("SELECT current_user") == "tillstream_query"
        await connection.close()
    else:
        with pytest.raises((OSError, asyncpg.PostgresError)):
            await asyncpg.connect(address)
