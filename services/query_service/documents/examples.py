"""A small conversation, led by the services' own code: an example of every message."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any, NamedTuple
from uuid import UUID, uuid5

import jiter
from pydantic_core import to_json

from commands import ORDERS, Deciding, NamesNoCommand, read_request
from eventstore import Loaded, StreamKey, decode_headers
from messaging import JSON_CONTENT, Topics, format_time
from orders import initial_state

TENANT, CASHIER, MANAGER = "store-1", "anna", "mia"
ORDER_ID = UUID("6f2a1c52-0000-4000-8000-000000000001")
NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)

_LINE = {"line_id": "1"}
_BY_MANAGER = {"authorised_by": MANAGER}
# Each is accepted but the last; the expected version is that of the order before it.
_COMMANDS: Sequence[tuple[str, Mapping[str, Any]]] = (
    ("CreateOrder", {"cashier_id": CASHIER, "currency": "EUR"}),
    ("AddItem", {"product_id": "p-1", "name": "Tea", "quantity": "2", "unit_price": "3.50"}),
    ("AddItem", {"product_id": "p-2", "name": "Cake", "quantity": "0.250", "unit_price": "18.00"}),
    ("ChangeItemQuantity", {**_LINE, "quantity": "3"}),
    ("ApplyLineDiscount", {**_LINE, "amount": "0.50", **_BY_MANAGER, "reason": "loyalty price"}),
    ("RemoveLineDiscount", _LINE),
    ("ApplyDiscount", {"percent": "10", **_BY_MANAGER, "reason": "happy hour"}),
    ("RemoveDiscount", {}),
    ("RemoveItem", {"line_id": "2"}),
    ("UndoLastChange", {}),
    ("RedoLastChange", {}),
    ("ConfirmOrder", {}),
    ("VoidOrder", {"reason": "returned by the customer", **_BY_MANAGER}),
    ("ConfirmOrder", {}),
)


class Example(NamedTuple):
    """One message as it is on its topic, headers as text."""

    topic: str
    key: str | None
    headers: Mapping[str, str]
    payload: Any

    @property
    def message_type(self) -> str:
        """The type without its prefix."""
        return self.headers["ce_type"].removeprefix(ORDERS.type_prefix)


class _Record(NamedTuple):
    topic: str
    partition: int
    offset: int
    key: bytes
    headers: Sequence[tuple[str, bytes]]
    value: bytes


@cache
def conversation() -> Sequence[Example]:
    """Return commands, the events and outcomes that follow, and a dead letter, in the order they come."""
    topics = ORDERS.topics()
    states = {StreamKey(TENANT, ORDER_ID): Loaded(initial_state(TENANT, ORDER_ID), 0, None, None)}
    examples = []
    for number, (command_type, data) in enumerate(_COMMANDS):
        record = _record(topics.commands, number, command_type, data)
        examples.append(_example(record.topic, record.key, record.headers, record.value))
        now = NOON + timedelta(seconds=number)
        answering = Deciding(ORDERS, topics, known={}, states=states, now=now)
        answering.decide(read_request(record, ORDERS, {}))
        decided = answering.result()
        states = {**states, **decided.states}
        examples += [
            _example(each.topic, each.key, decode_headers(each.headers), each.value)
            for each in decided.batch.messages
        ]
    examples.append(_dead_letter(topics))
    return examples


def _record(topic: str, number: int, command_type: str, data: Mapping[str, Any]) -> _Record:
    key = str(ORDER_ID).encode()
    headers = [
        ("content-type", JSON_CONTENT.encode()),
        ("ce_specversion", b"1.0"),
        ("ce_id", str(uuid5(ORDER_ID, f"command {number}")).encode()),
        ("ce_source", b"/store-1/till-7"),
        ("ce_type", f"{ORDERS.type_prefix}{command_type}".encode()),
        ("ce_subject", key),
        ("ce_time", format_time(NOON + timedelta(seconds=number))),
        ("ce_tenantid", TENANT.encode()),
        ("ce_actor", (MANAGER if command_type == "VoidOrder" else CASHIER).encode()),
        ("ce_correlationid", b"sale 4711"),
    ]
    if command_type in {"UndoLastChange", "RedoLastChange"}:
        headers.append(("ce_expectedversion", str(number).encode()))
    return _Record(topic, 0, number, key, headers, to_json(data))


def _dead_letter(topics: Topics) -> Example:
    record = _record(topics.commands, 99, "ConfirmOrder", {})
    nameless = record._replace(headers=[each for each in record.headers if each[0] != "ce_tenantid"])
    answering = Deciding(ORDERS, topics, known={}, states={}, now=NOON)
    try:
        read_request(nameless, ORDERS, {})
    except NamesNoCommand as reason:
        answering.dead_letters([(nameless, str(reason))])
    (letter,) = answering.result().batch.messages
    return _example(letter.topic, letter.key, decode_headers(letter.headers), letter.value)


def _example(
    topic: str, key: bytes | None, headers: Sequence[tuple[str, bytes | None]], value: bytes | None
) -> Example:
    told = {name: (raw or b"").decode() for name, raw in headers}
    return Example(topic, None if key is None else key.decode(), told, jiter.from_json(value or b"{}"))
