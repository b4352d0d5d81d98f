"""show, history and at, on orders that lie in the event store."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from eventstore import Append, Batch, EventStore, NewEvent, StreamKey
from integration.till.conftest import Till
from operations.errors import Unreachable
from orders import ORDER, Command, decide, encode_event, event_metadata, evolve, initial_state, parse_command
from till.advice import advice_on
from till.errors import TillError

ORDER_ID = UUID("6f2a1c52-0000-4000-8000-000000000001")
BEGAN = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
RECORDED = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
APPLE = {"product_id": "p1", "name": "Apple", "quantity": "2", "unit_price": "1.50"}
STEPS: list[tuple[str, dict[str, str]]] = [
    ("CreateOrder", {"cashier_id": "anna", "currency": "EUR"}),
    ("AddItem", APPLE),
    ("ApplyLineDiscount", {"line_id": "1", "amount": "0.50", "authorised_by": "max", "reason": "bruised"}),
    ("AddItem", {**APPLE, "name": "Pear [ripe]"}),
    ("UndoLastChange", {}),
    ("ConfirmOrder", {}),
]


def store_order(dsn: str, tenant: str = "store-1", order_id: UUID = ORDER_ID) -> None:
    """Append an order of one event a minute; each was recorded an hour after the one before it."""
    order = initial_state(tenant, order_id)
    appends = []
    for number, (command_type, data) in enumerate(STEPS):
        command = Command(
            command_id=uuid4(),
            order_id=order_id,
            tenant_id=tenant,
            actor="anna",
            occurred_at=BEGAN + timedelta(minutes=number),
            data=parse_command(command_type, data),
            expected_version=order.version if command_type == "UndoLastChange" else None,
        )
        (event,) = decide(command, order)
        metadata = json.dumps({"actor": "anna", **event_metadata(event)})
        new = NewEvent(uuid4(), *encode_event(event), metadata, event.occurred_at)
        recorded_at = RECORDED + timedelta(hours=number)
        appends.append(Append(StreamKey(tenant, order_id), order.version, [new], recorded_at))
        order = evolve(order, event)

    async def append() -> None:
        connection = await asyncpg.connect(dsn)
        for each in appends:
            await EventStore(ORDER).append(connection, Batch([each]))
        await connection.close()

    asyncio.run(append())


@pytest.fixture
def stored(database: Any) -> Any:
    """Give a database that holds the order."""
    store_order(database.dsn())
    return database


@pytest.mark.usefixtures("stored")
def test_history_tells_who_did_and_authorised_what(till: Till) -> None:
    """History lists every event with both times, actor, authoriser and what it did, undo included."""
    rows = till("history", str(ORDER_ID))
    assert [row["version"] for row in rows] == [1, 2, 3, 4, 5, 6]
    assert rows[2]["event"] == "LineDiscountApplied"
    assert (rows[2]["actor"], rows[2]["authorised_by"]) == ("anna", "max")
    assert rows[2]["what"] == "line 1: 0.50 off (bruised)"
    assert (rows[2]["occurred_at"], rows[2]["recorded_at"]) == (
        "2026-03-01T12:02:00Z",
        "2026-03-02T11:00:00Z",
    )
    assert rows[3]["what"] == "line 2: 2 of Pear [ripe] at 1.50"
    assert rows[4]["what"] == "undoes version 4: line 2 out"


@pytest.mark.usefixtures("stored")
def test_an_order_is_shown_as_it_was_at_a_version(till: Till) -> None:
    """`at --version N` is the order after N events."""
    order = till("at", str(ORDER_ID), "--version", "4")
    assert (order["version"], order["status"], order["total"]) == (4, "open", "5.50")
    assert [(line["name"], line["net"]) for line in order["lines"]] == [
        ("Apple", "2.50"),
        ("Pear [ripe]", "3.00"),
    ]


@pytest.mark.usefixtures("stored")
@pytest.mark.parametrize(
    ("time", "clock", "version"),
    [
        ("2026-03-02T11:30:00Z", "recorded", 3),
        ("2026-03-02T11:30:00", "recorded", 3),
        ("2026-03-02T13:30:00+02:00", "recorded", 3),
        ("2026-03-01T12:01:00Z", "occurred", 2),
        ("2026-03-02T11:30:00Z", "occurred", 6),
    ],
)
def test_an_order_is_shown_as_it_was_at_a_time(till: Till, time: str, clock: str, version: int) -> None:
    """`at --time T` goes by the chosen clock, and takes a time without an offset as UTC."""
    assert till("at", str(ORDER_ID), "--time", time, "--clock", clock)["version"] == version


@pytest.mark.usefixtures("stored")
@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--version", "7"], "it is at version 6"),
        (["--time", "2026-03-01T12:01:00Z"], "did not exist"),
        (["--time", "yesterday"], "is no time"),
        ([], "either at which version or at which time"),
        (["--version", "1", "--time", "2026-03-01T12:01:00Z"], "either at which version or at which time"),
    ],
)
def test_a_moment_that_is_none_is_told(till: Till, arguments: list[str], told: str) -> None:
    """A version or time at which there was no order gives an error that says so, with advice."""
    with pytest.raises(TillError, match=told) as caught:
        till("at", str(ORDER_ID), *arguments)
    assert caught.value.advice


@pytest.mark.usefixtures("stored")
def test_show_falls_back_to_the_event_store(till: Till) -> None:
    """An order that no read model has yet is shown from the event store."""
    order = till("show", str(ORDER_ID))
    assert (order["status"], order["version"], order["total"]) == ("confirmed", 6, "2.50")


def test_show_takes_the_read_model_and_the_lines_of_its_version(till: Till, stored: Any) -> None:
    """Show gives the read model's row, and the lines as of that row's version, not of a newer one."""
    view = f"""
        CREATE VIEW read_models.order_summary AS
        SELECT '{ORDER_ID}'::uuid AS order_id, 'store-1' AS tenant_id, 'open' AS status, 'anna' AS cashier_id,
               'EUR' AS currency, DATE '2026-03-01' AS business_day, 1 AS line_count, 3.00 AS subtotal,
               0.00 AS discount, 3.00 AS total, 2 AS version, now() AS created_at, now() AS updated_at,
               now() AS recorded_at;
        GRANT SELECT ON read_models.order_summary TO tillstream_query
    """

    async def create() -> None:
        connection = await asyncpg.connect(stored.dsn())
        await connection.execute(view)
        await connection.close()

    asyncio.run(create())
    order = till("show", str(ORDER_ID))
    assert (order["version"], order["total"]) == (2, "3.00")
    assert [(line["name"], line["discount"]) for line in order["lines"]] == [("Apple", "0.00")]
    with pytest.raises(TillError) as caught:
        till("show", str(uuid4()))
    assert str(ORDER_ID) in caught.value.advice


def test_an_order_id_of_two_tenants_needs_the_tenant(till: Till, stored: Any) -> None:
    """An id that several tenants use is refused until --tenant says whose order is meant."""
    store_order(stored.dsn(), tenant="store-2")
    with pytest.raises(TillError, match="2 tenants") as caught:
        till("history", str(ORDER_ID))
    assert "--tenant store-1" in caught.value.advice
    assert till("show", str(ORDER_ID), "--tenant", "store-2")["tenant_id"] == "store-2"
    with pytest.raises(TillError, match="store-3 has no order"):
        till("show", str(ORDER_ID), "--tenant", "store-3")


@pytest.mark.usefixtures("database")
@pytest.mark.parametrize("order", ["17", "0b0d6f0e-0000-4000-8000-00000000dead"])
def test_an_unknown_order_is_told(till: Till, order: str) -> None:
    """An id that is none, or that no tenant has, gives an error that says how to get an order."""
    with pytest.raises(TillError) as caught:
        till("show", order)
    assert "till load" in caught.value.advice


def test_a_database_that_is_down_is_told(till: Till, monkeypatch: pytest.MonkeyPatch) -> None:
    """A verb that can't connect says so, and how to start everything."""
    monkeypatch.setenv("TILLSTREAM_DATABASE_URL", "postgresql://somebody:secret@127.0.0.1:1/nothing")
    with pytest.raises(Unreachable, match=r"127\.0\.0\.1:1") as caught:
        till("show", str(ORDER_ID))
    assert "secret" not in str(caught.value)
    assert "till up" in advice_on(caught.value)
