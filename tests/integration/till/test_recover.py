"""`till recover`: a database that has lost all since its backup, and topics that have it, or nearly."""

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from aiokafka import AIOKafkaConsumer

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


@pytest.fixture
def lost(
    database: Any,
    _template: str,
    kafka_server: Any,
    topic_prefix: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> Iterator[Lost]:
    """Give commands that were handled in a database that is gone, with a fresh one in its place."""
    monkeypatch.chdir(tmp_path)
    with lost_installation(database, _template, kafka_server, topic_prefix, monkeypatch) as history:
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


def test_contradictions_are_named_and_nothing_is_written(lost: Lost) -> None:
    """Where the database has another event in the place of one on the topic, a person must choose."""
    lost.send(lambda _: True)
    lost.recover("--execute")
    other = lost.messages[0]._replace(
        headers=[(n, str(uuid4()).encode() if n == "ce_id" else v) for n, v in lost.messages[0].headers]
    )
    lost.messages = [other]
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
