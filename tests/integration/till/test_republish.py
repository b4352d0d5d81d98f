"""`till republish`: the topic of events is gone, and is filled from the log."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from typer.testing import CliRunner

from eventstore import SENDERS_LOCK, decode_headers
from harness.servers import Servers
from integration.till.lost_installation import Lost, lost_installation, sql
from operations.errors import OperationRefused
from operations.recover import republishing
from till.app import app


@pytest.fixture
def kept(
    database: Any,
    session_servers: Servers,
    topic_prefix: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> Iterator[Lost]:
    """Give a database with a history, whose topic of events is new and empty."""
    monkeypatch.chdir(tmp_path)
    with lost_installation(database, session_servers, topic_prefix, monkeypatch) as history:
        monkeypatch.setenv("TILLSTREAM_ADMIN_DATABASE_URL", history.lost)
        yield history


def republish(*arguments: str) -> dict[str, Any]:
    result = CliRunner().invoke(app, ["republish", *arguments, "-o", "json"])
    if result.exception is not None:
        raise result.exception
    return dict(json.loads(result.stdout))


def outbox(kept: Lost) -> list[tuple[Any, ...]]:
    rows = sql(kept.lost, "SELECT topic, key, headers, value FROM outbox ORDER BY id")
    return [(topic, key, decode_headers(headers), value) for topic, key, headers, value in rows]


def test_the_log_is_put_out_byte_for_byte(kept: Lost) -> None:
    """Each event goes out as it was sent at first, in version order, and once; what waited comes in its turn.

    A dry run changes nothing; a second run finds it done.
    """
    due = [(m.topic, m.key, m.headers, m.value) for m in kept.messages if m.is_event]
    sql(
        kept.lost,
        "INSERT INTO outbox (shard, topic, key, headers, value) VALUES (0, $1, $2, '[]', '')",
        kept.topics.events,
        due[-1][1],
    )
    dry = republish()
    assert (dry["events"], dry["done"], dry["executed"]) == (len(due), 0, False)
    assert len(outbox(kept)) == 1
    assert republish("--execute")["done"] == len(due)
    assert outbox(kept) == due
    assert republish("--execute")["finished"]
    assert outbox(kept) == due
    (record,) = sql(
        kept.lost, "SELECT action, outcome FROM operations.actions JOIN operations.results ON id = action_id"
    )
    assert tuple(record) == ("republish", "done")


def test_one_that_was_broken_off_goes_on_where_it_was(kept: Lost, monkeypatch: pytest.MonkeyPatch) -> None:
    """The cursor moves with the outbox rows: nothing is put out twice, or passed over."""
    due = [(m.topic, m.key, m.headers, m.value) for m in kept.messages if m.is_event]

    async def broken_off(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(republishing, "_let_the_relay_follow", broken_off)
        with pytest.raises((KeyboardInterrupt, SystemExit)):
            republish("--execute")
    assert outbox(kept) == due
    plan = republish()
    assert (plan["begun"], plan["finished"], plan["done"]) == (True, False, len(due))
    assert republish("--execute")["done"] == len(due)
    assert outbox(kept) == due


def test_a_topic_that_is_emptied_again_is_not_called_filled(kept: Lost) -> None:
    """What was put out must be on the topic or wait for the relay; else the topic must be made anew."""
    republish("--execute")
    sql(kept.lost, "DELETE FROM outbox WHERE topic = $1 RETURNING 1", kept.topics.events)
    kept.send(lambda message: message.is_event)
    assert republish()["finished"]
    kept.empty(kept.topics.events)
    for arguments in ([], ["--execute"]):
        with pytest.raises(OperationRefused, match="was emptied after it was filled"):
            republish(*arguments)


def test_a_topic_with_records_is_left_alone(kept: Lost) -> None:
    """After other records the log's events would be out of order: the topic must be made anew."""
    kept.send(lambda message: message.is_event and message.command == 0)
    with pytest.raises(OperationRefused, match="is not empty"):
        republish("--execute")
    assert outbox(kept) == []


def test_a_relay_at_work_is_not_overtaken(kept: Lost) -> None:
    """While a relay holds the outbox nothing begins: what it just sends would come before older events."""

    async def as_relay() -> None:
        conn = await asyncpg.connect(kept.lost)
        await conn.execute("SELECT pg_advisory_lock($1, 3)", SENDERS_LOCK)
        with pytest.raises(OperationRefused, match="relay runs"):
            await asyncio.to_thread(republish, "--execute")
        await conn.close()

    asyncio.run(as_relay())
    assert outbox(kept) == []
