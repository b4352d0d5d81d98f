from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from commands import ORDERS
from eventstore import Batch, Connection, OutcomeConflict, StoredOutcome, decode_headers, encode_headers
from integration.eventstore.tallies import STORE, refusal, stream


async def test_a_stored_outcome_is_given_back_byte_for_byte(conn: Connection) -> None:
    """A repeat finds its outcome with the message as it was stored, bytes that are no UTF-8 included."""
    key, command_id = stream(), uuid4()
    headers = [("ce_id", b"\xff\x00\xc3("), ("ce_id", "ünï".encode()), ("", b"")]
    outcome = refusal(key, command_id, value=b"\x00\xff{}")._replace(headers=encode_headers(headers))
    await STORE.append(conn, Batch(outcomes=[outcome]))
    _, known = await STORE.find_outcomes(conn, [(key.tenant_id, command_id), (key.tenant_id, uuid4())])
    stored = StoredOutcome(outcome.fingerprint, outcome.headers, outcome.value)
    assert known == {(key.tenant_id, command_id): stored}
    assert decode_headers(known[key.tenant_id, command_id].headers) == headers


async def test_every_field_of_an_outcome_is_kept(conn: Connection) -> None:
    """The audit trail finds the command, what it asked for and why it was refused."""
    key = stream()
    outcome = refusal(key)
    await STORE.append(conn, Batch(outcomes=[outcome]))
    row = await conn.fetchrow("SELECT *, data::text, headers::text FROM command_outcomes")
    assert row is not None
    for name, value in outcome._asdict().items():
        assert row[name] == value, name


async def test_a_malformed_command_keeps_its_text(conn: Connection) -> None:
    """An outcome may lack what its command lacked, and its data may hold what jsonb would refuse."""
    text = '{"name": "a\\u0000b"}'
    outcome = refusal(stream())._replace(aggregate_id=None, data=text, occurred_at=None)
    bare = refusal(stream())._replace(data=None)
    await STORE.append(conn, Batch(outcomes=[outcome, bare]))
    stored = await conn.fetchval("SELECT data::text FROM command_outcomes WHERE aggregate_id IS NULL")
    assert stored == outcome.data


async def test_one_tenant_cannot_find_anothers_outcome(conn: Connection) -> None:
    """A command id is its tenant's own: another tenant's look-up finds nothing (pitfall 22)."""
    key, command_id = stream("store-1"), uuid4()
    await STORE.append(conn, Batch(outcomes=[refusal(key, command_id)]))
    _, known = await STORE.find_outcomes(conn, [("store-2", command_id)])
    assert known == {}


async def test_the_look_up_brings_the_databases_clock(conn: Connection) -> None:
    """The database's clock comes with every look-up, also one that finds nothing or asks for nothing."""
    for ids in ([], [("store-1", uuid4())]):
        now, known = await STORE.find_outcomes(conn, ids)
        assert known == {}
        assert abs(now - datetime.now(UTC)) < timedelta(minutes=5)
    later, _ = await STORE.find_outcomes(conn, [])
    assert later > now


async def test_a_command_id_of_another_aggregate_type_is_taken(conn: Connection) -> None:
    """All aggregate types share the command ids; what another one's was can't be the same command."""
    key = stream()
    outcome = refusal(key)
    await STORE.append(conn, Batch(outcomes=[outcome]))
    command = (key.tenant_id, outcome.command_id)
    with pytest.raises(OutcomeConflict):
        await ORDERS.store.append(conn, Batch(outcomes=[outcome]))
    _, known = await ORDERS.store.find_outcomes(conn, [command])
    assert known == {command: StoredOutcome(None, outcome.headers, outcome.value)}
    _, known = await STORE.find_outcomes(conn, [command])
    assert known[command].fingerprint == outcome.fingerprint


async def test_the_audit_trail_has_the_orders_refusals_alone(conn: Connection, admin: Connection) -> None:
    """A refused command to another aggregate type is none of an order's, were their ids the same."""
    key = stream()
    theirs, ours = refusal(key), refusal(key)
    await STORE.append(conn, Batch(outcomes=[theirs]))
    await ORDERS.store.append(conn, Batch(outcomes=[ours]))
    rows = await admin.fetch("SELECT command_id FROM refused_commands WHERE order_id = $1", key.aggregate_id)
    assert [row["command_id"] for row in rows] == [ours.command_id]
