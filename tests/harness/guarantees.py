"""What must hold once all is quiet again, whatever was killed, stopped or cut off meanwhile."""

import json
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import asyncpg
from aiokafka import ConsumerRecord

from eventstore import decode_headers
from harness.plain_client import headers_of
from harness.read_models import assert_equal_the_fold
from harness.waiting import eventually
from harness.whole_topics import WholeTopics
from readmodels import READ_MODELS

_CHECKPOINTS = """
SELECT partition, next_offset FROM projections.checkpoints WHERE read_model = $1 AND NOT refolding
"""

# Long, since a member that stands still is waited for, and the machine may be busy with other tests.
DEADLINE = 150.0


async def quiet(conn: asyncpg.Connection, topics: WholeTopics, sent: Sequence[dict[str, Any]]) -> None:
    """Wait until all commands are answered, the outbox is empty, and all read models are level."""
    commands = len(command_ids(sent))

    async def answered() -> bool:
        if await conn.fetchval("SELECT count(*) FROM command_outcomes") < commands:
            return False
        if await conn.fetchval("SELECT count(*) FROM outbox"):
            return False
        return sum((await topics.ends("orders.outcomes")).values()) >= len(sent)

    await eventually(answered, deadline=DEADLINE)

    async def level() -> bool:
        if await conn.fetchval("SELECT to_regclass('projections.checkpoints')") is None:
            return False
        ends = await topics.ends("orders.events")
        for name in READ_MODELS:
            rows = await conn.fetch(_CHECKPOINTS, name)
            if {row["partition"]: row["next_offset"] for row in rows} != ends:
                return False
        return True

    await eventually(level, deadline=DEADLINE)


def command_ids(sent: Sequence[dict[str, Any]]) -> Counter[tuple[str, UUID]]:
    """Give how often each command was sent, by tenant and id."""
    attributes = [{name: value.decode() for name, value in each["headers"]} for each in sent]
    return Counter((each["ce_tenantid"], UUID(each["ce_id"])) for each in attributes)


async def assert_guarantees(
    conn: asyncpg.Connection, topics: WholeTopics, sent: Sequence[dict[str, Any]]
) -> int:
    """Check all that is promised of the commands sent so far; give how many messages came again.

    One stored outcome and one effect per command; on the topics, each message at least once, repeats byte for
    byte, first occurrences in version order; versions 1 to n; read models equal to the fold of the log.
    """
    await quiet(conn, topics, sent)
    copies = command_ids(sent)
    effects = await _outcomes(conn, await topics.records("orders.outcomes"), copies)
    events = await topics.records("orders.events")
    await _events(conn, events, effects)
    await assert_equal_the_fold(conn)
    answers = sum((await topics.ends("orders.outcomes")).values())
    return len(events) - sum(map(len, effects.values())) + answers - len(sent)


async def _outcomes(
    conn: asyncpg.Connection, records: Sequence[ConsumerRecord], copies: Counter[tuple[str, UUID]]
) -> dict[str, list[str]]:
    """Give the event ids of each accepted command."""
    stored = {
        (row["tenant_id"], row["command_id"]): (decode_headers(row["headers"]), row["value"])
        for row in await conn.fetch("SELECT tenant_id, command_id, headers, value FROM command_outcomes")
    }
    assert stored.keys() == copies.keys(), "each command has one stored outcome, and nothing else has"
    told: Counter[tuple[str, UUID]] = Counter()
    effects = {}
    for record in records:
        attributes = headers_of(record)
        key = (attributes["ce_tenantid"], UUID(attributes["ce_causationid"]))
        told[key] += 1
        assert (list(record.headers), record.value) == stored[key], f"another answer to {key}"
        answer = json.loads(record.value)
        if attributes["ce_type"] == "orders.CommandAccepted":
            effects[attributes["ce_causationid"]] = answer["event_ids"]
    assert copies <= told, f"unanswered: {copies - told}"
    return effects


async def _events(
    conn: asyncpg.Connection, records: Sequence[ConsumerRecord], effects: dict[str, list[str]]
) -> None:
    rows = await conn.fetch(
        "SELECT tenant_id, aggregate_id::text, version, event_id::text, metadata->>'causation_id'"
        " FROM order_events ORDER BY tenant_id, aggregate_id, version"
    )
    caused = defaultdict(list)
    versions: dict[tuple[str, str], int] = {}
    ids: dict[tuple[str, str, str], str] = {}
    for tenant, order, version, event_id, causation in rows:
        assert version == versions.get((tenant, order), 0) + 1, f"a gap in {order} before {version}"
        versions[tenant, order] = version
        ids[tenant, order, str(version)] = event_id
        caused[causation].append(event_id)
    assert dict(caused) == {command: found for command, found in effects.items() if found}

    first: dict[tuple[str, str, str], Any] = {}
    last: dict[tuple[str, str], int] = defaultdict(int)
    for record in records:
        attributes = headers_of(record)
        order = (attributes["ce_tenantid"], attributes["ce_subject"])
        key = (*order, attributes["ce_version"])
        message = (record.partition, record.key, record.headers, record.value)
        if key in first:
            assert message == first[key], f"another event as version {key}"
            continue
        first[key] = message
        last[order] += 1
        assert attributes["ce_version"] == str(last[order]), f"{key} came after version {last[order] - 1}"
        assert attributes["ce_id"] == ids[key]
    assert first.keys() == ids.keys(), "the topic has the store's events, and no others"
