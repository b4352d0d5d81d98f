"""Batches of commands against a real database: refused content, rivals, and what the cache may know."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import asyncpg
import pytest
from prometheus_client import REGISTRY
from pydantic import SecretStr
from structlog.testing import capture_logs

from command_service.handler import CommandHandler
from commands import ORDERS
from eventstore import EventStore
from harness.plain_client import command
from harness.waiting import eventually
from integration.command_service.conftest import PARTITION, Services, holding, no_look
from messaging import Assigned, Committed, Unrecoverable
from runtime import Database, TenantSettings, is_passing_fault

CLOCKS = "tillstream_commands_clock_ahead_total"
CREATE = {"cashier_id": "anna", "currency": "EUR"}
ITEM = {"product_id": "p", "name": "Tea", "quantity": "1", "unit_price": "1.00"}


def command_id(sent: dict[str, Any]) -> str:
    return dict(sent["headers"])["ce_id"].decode()


async def test_a_command_that_the_database_refuses_does_not_fail_its_neighbours(services: Services) -> None:
    """Of a batch with refused content only the culprits are dead-lettered; all others are stored once."""
    await services.admin.execute("ALTER TABLE command_outcomes ADD CHECK (actor <> 'poison')")
    sent = [command("CreateOrder", str(uuid4()), CREATE) for _ in range(21)]
    poisoned = {4, 17}
    for number in poisoned:
        sent[number] = command("CreateOrder", str(uuid4()), CREATE, actor="poison")
    await services.handle(services.new(), *sent)
    expected = {command_id(each): "accepted" for n, each in enumerate(sent) if n not in poisoned}
    assert await services.outcomes() == expected
    reasons = await services.dead_letters()
    assert len(reasons) == 2
    assert all(reason.startswith("the database refused it: ") for reason in reasons)
    assert await services.admin.fetchval("SELECT count(*) FROM order_events") == 19


async def test_the_clock_is_read_in_the_transaction_that_records(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is recorded before what open transactions tell: so read models know what can still come."""
    told = []
    load = EventStore.load_many

    async def looking(self: EventStore[Any], conn: Any, keys: Any) -> Any:
        told.append(await services.admin.fetchval("SELECT operations.recorded_until()"))
        return await load(self, conn, keys)

    monkeypatch.setattr(EventStore, "load_many", looking)
    await services.handle(services.new(), command("CreateOrder", str(uuid4()), CREATE))
    assert [await services.admin.fetchval("SELECT recorded_at >= $1 FROM order_events", told[0])] == [True]


async def test_clocks_that_are_ahead_are_counted_once(services: Services) -> None:
    """By the database's clock; a command that comes again is neither counted nor refused again."""
    handler = services.new(tenants={"strict": TenantSettings(refuse_clock_ahead=True)})
    now = datetime.now(UTC)
    sent = [
        command("CreateOrder", str(uuid4()), CREATE, tenant=tenant, time=(now + ahead).isoformat())
        for tenant in ("store-1", "strict")
        for ahead in (timedelta(minutes=-1), timedelta(minutes=1), timedelta(minutes=10))
    ]
    counted = REGISTRY.get_sample_value(CLOCKS) or 0
    with capture_logs() as logs:
        await services.handle(handler, *sent, *sent)
        await services.handle(handler, *sent)
    assert REGISTRY.get_sample_value(CLOCKS) == counted + 2
    told = [each for each in logs if each["event"] == "command.clock_ahead"]
    assert [(each["source"], each["tenant_id"]) for each in told] == [
        ("/till/7", "store-1"),
        ("/till/7", "strict"),
    ]
    expected = {command_id(each): "accepted" for each in sent} | {command_id(sent[-1]): "clock_ahead"}
    assert await services.outcomes() == expected


async def test_a_fault_of_the_installation_dead_letters_nothing(services: Services) -> None:
    """A missing grant is no record's fault: the batch fails whole, and nothing is stored."""
    await services.admin.execute("REVOKE INSERT ON command_outcomes FROM tillstream_command_service")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await services.handle(services.new(), *(command("CreateOrder", str(uuid4()), CREATE) for _ in "ab"))
    assert await services.admin.fetchval("SELECT count(*) FROM outbox") == 0


async def test_a_lost_connection_is_discarded_and_the_batch_can_come_again(services: Services) -> None:
    """A batch whose connection was killed can come again: it is stored once, on a new one."""
    handler = services.new()
    order_id = str(uuid4())
    await services.handle(handler, command("CreateOrder", order_id, CREATE))
    await services.admin.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE datname = current_database() AND usename = 'tillstream_command_service'"
    )
    add = command("AddItem", order_id, ITEM)

    async def handled() -> bool:
        try:
            await services.handle(handler, add)
        except Exception as error:
            if not is_passing_fault(error):
                raise
            return False
        return True

    await eventually(handled)
    assert (await services.outcomes())[command_id(add)] == "accepted"
    assert await services.admin.fetchval("SELECT max(version) FROM order_events") == 2


async def test_a_rivals_append_is_seen_before_the_next_decision(services: Services) -> None:
    """A cached order that another service has changed since is loaded and decided anew, not overwritten."""
    mine, rival = services.new(), services.new()
    order_id = str(uuid4())
    await services.handle(mine, command("CreateOrder", order_id, CREATE))
    await services.handle(rival, command("AddItem", order_id, ITEM), command("ConfirmOrder", order_id))
    late = command("AddItem", order_id, ITEM)
    await services.handle(mine, late)
    assert (await services.outcomes())[command_id(late)] == "order_not_open"
    versions = await services.admin.fetch("SELECT version FROM order_events ORDER BY 1")
    assert [row["version"] for row in versions] == [1, 2, 3]


async def test_a_refusal_is_not_decided_on_what_was_once_cached(services: Services) -> None:
    """A refusal that a rival's append has made wrong is not stored: the command is decided anew."""
    mine, rival = services.new(), services.new()
    order_id = str(uuid4())
    await services.handle(mine, command("CreateOrder", order_id, CREATE))
    await services.handle(rival, command("AddItem", order_id, ITEM))
    confirm = command("ConfirmOrder", order_id)
    await services.handle(mine, confirm)  # by the cached order it would be empty_order
    assert (await services.outcomes())[command_id(confirm)] == "accepted"


async def test_assignment_and_revocation_empty_the_cache(services: Services) -> None:
    """What a service knew of orders while it held their partitions is forgotten when it gives them up."""
    handler = services.new()
    for forget in (handler.revoked, lambda: handler.assigned({PARTITION: Assigned(None, 0, 0)})):
        await services.handle(handler, command("CreateOrder", str(uuid4()), CREATE))
        assert handler._cache
        await forget()
        assert not handler._cache


@pytest.mark.parametrize(
    ("committed", "beginning", "end", "position"),
    [(None, 3, 9, 3), (5, 3, 9, 5), (9, 3, 9, 9), (2, 3, 9, 3), (10, 3, 9, 3)],
)
async def test_an_offset_that_the_topic_no_longer_has_starts_at_the_beginning(
    services: Services, committed: int | None, beginning: int, end: int, position: int
) -> None:
    """Without a usable offset commands are read again from the beginning: outcomes make that harmless."""
    found = None if committed is None else Committed(committed, ours=True)
    positions = await services.new().assigned({PARTITION: Assigned(found, beginning, end)})
    assert positions == {PARTITION: position}


async def test_copies_with_another_key_or_content_mode_are_the_same_command(services: Services) -> None:
    """A copy of a stored command gets the stored outcome, whatever key or content mode it comes with."""
    order_id = str(uuid4())
    create = command("CreateOrder", order_id, CREATE)
    structured = command("CreateOrder", order_id, CREATE, command_id=command_id(create), structured=True)
    malformed = command("AddItem", order_id, {**ITEM, "quantity": "-1"})
    again = command(
        "AddItem", order_id, {**ITEM, "quantity": "-1"}, command_id=command_id(malformed), structured=True
    )
    handler = services.new()
    await services.handle(handler, create, {**create, "key": None}, structured, malformed, again)
    await services.handle(handler, {**create, "key": b"other"}, again)
    answers = await services.admin.fetch(
        "SELECT convert_from(key, 'UTF8') AS key, count(*), count(DISTINCT value) AS bodies FROM outbox "
        "WHERE topic = 'orders.outcomes' GROUP BY headers::text, key"
    )
    assert sorted((row["count"], row["bodies"]) for row in answers) == [(3, 1), (4, 1)]


async def test_a_new_connection_is_looked_at_before_it_is_written_to(services: Services) -> None:
    """Nothing is stored over a connection in a lost one's place while its database is not the one it was."""
    looked_at: list[bool] = []

    async def refuse(conn: asyncpg.Connection) -> None:
        looked_at.append(conn.is_closed())
        raise Unrecoverable("the database was restored")

    database = Database(SecretStr(services.url), "test")
    services.databases.append(database)
    handler = CommandHandler(
        database, ORDERS, ORDERS.topics(), {}, holding(), elsewhere=no_look(), reconnected=refuse
    )
    await services.handle(handler, command("CreateOrder", str(uuid4()), CREATE))
    database.discard()
    for _ in "ab":
        with pytest.raises(Unrecoverable):
            await services.handle(handler, command("CreateOrder", str(uuid4()), CREATE))
    assert looked_at == [False, False]
    assert len(await services.outcomes()) == 1
