"""Refused commands, stored as the command service stores them."""

import json
from typing import Any
from uuid import UUID, uuid5

import asyncpg

from eventstore import Batch, EventStore, Outcome, StreamKey
from integration.projector.order_log import NAMESPACE, RECORDED_AT
from orders import ORDER

REFUSAL = {"code": "unknown_line", "message": "The order has no line 7."}


async def refuse(conn: asyncpg.Connection, key: StreamKey, **fields: Any) -> UUID:
    """Store a refused line discount, or what `fields` make of it; return the command's id."""
    command_id = uuid5(NAMESPACE, f"refused {key} {fields}")
    outcome = {
        "tenant_id": key.tenant_id,
        "command_id": command_id,
        "aggregate_id": key.aggregate_id,
        "command_type": "ApplyLineDiscount",
        "actor": "till-1",
        "data": '{"line_id":"7","percent":"5","authorised_by":"bob"}',
        "occurred_at": RECORDED_AT,
        "fingerprint": b"",
        "code": REFUSAL["code"],
        "version": None,
        "headers": "[]",
        "value": json.dumps(REFUSAL).encode(),
        **fields,
    }
    await EventStore(ORDER).append(conn, Batch(outcomes=[Outcome(**outcome)]))
    return command_id
