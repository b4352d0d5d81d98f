"""`till recover`: a database that has lost all since its backup, and topics that have it, or nearly."""

import asyncio
import importlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest
from aiokafka import AIOKafkaConsumer

from commands import ORDERS
from eventstore import SENDERS_LOCK
from harness.plain_client import command
from harness.servers import Servers
from integration.till.lost_installation import (
    COMMANDS,
    CONFIRM,
    REFUSED,
    UNDO,
    Lost,
    Message,
    lost_installation,
    sql,
)
from messaging import partition_of
from operations import TopicAhead, check_logs_have_topics
from operations.errors import OperationRefused


@pytest.fixture
def lost(
    database: Any,
    session_servers: Servers,
    topic_prefix: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> Iterator[Lost]:
    """Give commands that were handled in a database that is gone, with a fresh one in its place."""
    monkeypatch.chdir(tmp_path)
    with lost_installation(database, session_servers, topic_prefix, monkeypatch) as history:
        yield history


def test_all_that_was_sent_comes_back_as_it_was(lost: Lost) -> None:
    """Events and outcomes are the same rows as before, ids and times included; nothing is sent or done again.

    A dry run says what is lost and changes nothing; a second run finds nothing to do.
    """
    lost.send(lambda _: True)
    ends = lost.goes_on_from()
    dry = lost.recover()
    assert (dry["events"], dry["outcomes"], dry["executed"]) == (7, 7, False)
    assert lost.rows(restored=True) == []
    assert lost.fetch("SELECT * FROM operations.actions") == []
    answer = lost.recover("--execute")
    assert (answer["executed"], answer["contradictions"]) == (True, [])
    assert lost.rows(restored=True) == lost.rows(restored=False)
    assert lost.outbox() == []
    assert lost.goes_on_from() == ends
    again = lost.recover("--execute")
    assert (again["events"], again["outcomes"], again["to_answer"], again["executed"]) == (0, 0, 0, False)
    assert [row["action"] for row in lost.fetch("SELECT action FROM operations.actions")] == ["recover"]


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(lambda m: m.is_event or m.command != CONFIRM, id="events without their outcome"),
        pytest.param(lambda m: not m.is_event or m.command != CONFIRM, id="an outcome without its events"),
        pytest.param(
            lambda m: not m.is_event or m.command < UNDO or b'"line_id":"1","product' in m.value,
            id="the first of two events",
        ),
        pytest.param(
            lambda m: m.command < UNDO or (m.is_event and b'"line_id":"1","product' in m.value),
            id="the first of two events without their outcome",
        ),
        pytest.param(lambda m: m.command != REFUSED, id="a refusal among others"),
    ],
)
def test_what_was_sent_in_part_is_completed(lost: Lost, sent: Callable[[Message], bool]) -> None:
    """A relay that died in mid-send: what is missing comes out as it was, and is sent once."""
    missing = lost.send(sent)
    handled_again = [each for each in missing if each.command == CONFIRM and missing[-1].command == CONFIRM]
    lost.recover("--execute")
    due = lost.rows(restored=False)
    if len(missing) > 2:
        # Nothing is known of the last command: it is the command service's to handle.
        due = [row for row in due if row[1] != UUID(lost.ids[CONFIRM]) and row[4] != "OrderConfirmed"]
        missing = [each for each in missing if each.command != CONFIRM]
        assert lost.goes_on_from() == {CONFIRM}
    else:
        assert handled_again or lost.goes_on_from() == {len(COMMANDS)}
    assert lost.rows(restored=True) == due
    assert lost.outbox() == [(each.topic, each.value) for each in missing]


def test_a_command_nothing_is_known_of_is_handled_again(lost: Lost) -> None:
    """The command service goes on from the first command whose effects were lost, and no earlier."""
    lost.send(lambda message: message.command < UNDO)
    answer = lost.recover("--execute")
    assert answer["commands_again"] == 2
    assert lost.goes_on_from() == {UNDO}


def test_of_commands_that_are_gone_the_outcomes_are_kept(lost: Lost) -> None:
    """Past their retention outcomes come back without what was asked for, from events if need be."""
    lost.send(lambda message: message.is_event or message.command != CONFIRM)
    lost.expire_commands()
    answer = lost.recover("--execute")
    assert (answer["executed"], answer["commands_again"]) == (True, 0)
    due = {row["command_id"]: row["value"] for row in sql(lost.lost, _VALUES)}
    rows = sql(lost.restored, _VALUES)
    assert {row["command_id"]: row["value"] for row in rows} == due
    assert {(row["fingerprint"], row["data"]) for row in rows} == {(b"", None)}
    assert [value for _, value in lost.outbox()] == [due[UUID(lost.ids[CONFIRM])]]


_VALUES = "SELECT command_id, value, fingerprint, data FROM command_outcomes"


@pytest.mark.parametrize(
    "stopped_in",
    ["restoring._restore_expired", "restoring.check_nobody_appends", "restoring.move_group"],
)
def test_a_recovery_that_is_broken_off_leaves_nothing_behind(
    lost: Lost, stopped_in: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever ends it, nothing is written and services stay refused; the next one does all of it."""
    lost.send(lambda message: message.is_event or message.command != CONFIRM)
    module, name = stopped_in.split(".")

    async def broken_off(*_: Any) -> None:
        raise RuntimeError

    with monkeypatch.context() as patch:
        patch.setattr(importlib.import_module(f"operations.recover.{module}"), name, broken_off)
        with pytest.raises(RuntimeError):
            lost.recover("--execute")
    assert lost.rows(restored=True) == []
    assert lost.outbox() == []
    assert lost.goes_on_from() == {len(COMMANDS)}

    async def start() -> None:
        conn = await asyncpg.connect(lost.restored)
        with pytest.raises(TopicAhead):
            await check_logs_have_topics(conn, lost.kafka, lost.topics.prefix, [ORDERS])
        await conn.close()

    asyncio.run(start())
    lost.recover("--execute")
    assert lost.rows(restored=True) == lost.rows(restored=False)


def test_a_recovery_refuses_while_a_relay_sends(lost: Lost) -> None:
    """With a relay's locks taken nothing is taken back: it would send while the topics are read."""
    lost.send(lambda _: True)

    async def as_relay() -> None:
        conn = await asyncpg.connect(lost.restored)
        await conn.execute("SELECT pg_advisory_lock($1, 3)", SENDERS_LOCK)
        with pytest.raises(OperationRefused, match="relay runs"):
            await asyncio.to_thread(lost.recover, "--execute")
        await conn.close()

    asyncio.run(as_relay())
    assert lost.rows(restored=True) == []
    lost.recover("--execute")
    assert lost.rows(restored=True) == lost.rows(restored=False)


def order_in(partition: int) -> str:
    while partition_of((order_id := str(uuid4())).encode(), 2) != partition:
        pass
    return order_id


_OWN = """
SELECT aggregate_id, command_type, code, fingerprint, value FROM command_outcomes WHERE command_id = $1
"""
_STREAMS = """
SELECT tenant_id, aggregate_id, version, event_id, payload, recorded_at FROM order_events
ORDER BY tenant_id, aggregate_id, version
"""


@pytest.mark.parametrize(
    ("kind", "told"),
    [("CreateOrder", "outcome"), ("ConfirmOrder", "outcome"), ("CreateOrder", "events")],
    ids=["accepted", "refused", "accepted, without its outcome"],
)
def test_an_id_used_again_for_another_order_changes_nothing(lost: Lost, kind: str, told: str) -> None:
    """An outcome, or events, go with the order they are of, in whichever partition the other order lies."""
    created = {"cashier_id": "anna", "currency": "EUR"}
    for first, other in ((1, 0), (0, 1)):
        id_ = str(uuid4())
        asyncio.run(
            lost.handle(
                [command(kind, order_in(first), created if kind == "CreateOrder" else {}, command_id=id_)]
            )
        )
        asyncio.run(lost.handle([command("CreateOrder", order_in(other), created, command_id=id_)]))
        due = sql(lost.lost, _OWN, UUID(id_))
        lost.send(lambda message: message.is_event or told == "outcome")
        answer = lost.recover("--execute")
        assert answer["contradictions"] == []
        assert sql(lost.restored, _STREAMS) == sql(lost.lost, _STREAMS)
        assert sql(lost.restored, _OWN, UUID(id_)) == due
        lost.messages.clear()


def altered(message: Message, header: str) -> Message:
    headers = [(n, str(uuid4()).encode() if n == header else v) for n, v in message.headers]
    return message._replace(headers=headers)


@pytest.mark.parametrize("of_event", [True, False], ids=["event", "outcome"])
def test_two_histories_on_a_topic_are_not_mixed(lost: Lost, *, of_event: bool) -> None:
    """Two events as one version, or two outcomes of one command, are named, and nothing is written.

    Once both topics are given up, the commands that the database knows nothing of are handled anew.
    """
    one = next(each for each in lost.messages if each.command == CONFIRM and each.is_event is of_event)
    lost.messages.append(altered(one, "ce_id"))
    lost.send(lambda _: True)
    (told,) = lost.recover()["contradictions"]
    assert ("different events as version 7" if of_event else "different outcomes of the command") in told
    with pytest.raises(Exception, match="contradict each other"):
        lost.recover("--execute")
    assert lost.rows(restored=True) == []
    lost.empty(lost.topics.events)
    lost.empty(lost.topics.outcomes)
    assert lost.recover("--execute")["commands_again"] == len(COMMANDS)
    assert lost.goes_on_from() == {0}


def test_an_order_may_lie_in_two_partitions(lost: Lost) -> None:
    """After partitions were added an order's later events may be read first: that is no gap."""
    lost.send(lambda _: True, lambda message: int(message.command < UNDO) if message.is_event else None)
    assert lost.recover("--execute")["contradictions"] == []
    assert lost.rows(restored=True) == lost.rows(restored=False)


def test_a_gap_is_named(lost: Lost) -> None:
    """A version whose predecessor is nowhere can't be taken back."""
    lost.send(lambda message: not message.is_event or message.command != 1)
    (told,) = lost.recover()["contradictions"]
    assert "neither the topic nor the database has version 2" in told


def test_contradictions_are_named_and_nothing_is_written(lost: Lost) -> None:
    """Where the database has another event in the place of one on the topic, a person must choose."""
    lost.send(lambda _: True)
    lost.recover("--execute")
    lost.messages = [altered(lost.messages[0], "ce_id")]
    lost.send(lambda _: True)
    assert "as version 1 of order" in lost.recover()["contradictions"][0]
    with pytest.raises(Exception, match="contradict each other"):
        lost.recover("--execute")
    results = lost.fetch("SELECT outcome FROM operations.results ORDER BY action_id")
    assert [row["outcome"] for row in results] == ["done", "failed"]


def test_a_recovery_refuses_while_commands_are_handled(lost: Lost) -> None:
    """With a member in the command service's group nothing is taken back: it would write meanwhile."""

    async def as_member() -> None:
        async with AIOKafkaConsumer(
            lost.topics.commands,
            bootstrap_servers=lost.kafka.bootstrap_servers,
            group_id=lost.topics.group("command_service"),
        ) as consumer:
            while not consumer.assignment():
                await consumer.getmany(timeout_ms=100)
            with pytest.raises(Exception, match="Command services run"):
                await asyncio.to_thread(lost.recover, "--execute")

    asyncio.run(as_member())
