"""What one batch of commands comes to, without a database."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Any
from uuid import UUID, uuid4, uuid5

from aiokafka import ConsumerRecord

from commands import ORDERS, UNKNOWN_FINGERPRINT, Decided, Deciding, Request, derived_id, read_request
from eventstore import Loaded, StoredOutcome, StreamKey, decode_headers
from harness.plain_client import command
from orders import ORDER, Order
from runtime import TenantSettings

NOW = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)
CREATE = {"cashier_id": "anna", "currency": "EUR"}
ITEM = {"product_id": "p", "name": "Tea", "quantity": "1", "unit_price": "1.00"}


def request(
    sent: dict[str, Any], offset: int = 0, tenants: Mapping[str, TenantSettings] = MappingProxyType({})
) -> Request:
    record = ConsumerRecord(
        "orders.commands", 0, offset, 0, 0, sent["key"], sent["value"], None, 0, 0, sent["headers"]
    )
    return read_request(record, ORDERS, tenants)


def decide(
    *requests: Request,
    known: dict[tuple[str, UUID], StoredOutcome] | None = None,
    states: dict[StreamKey, Loaded[Order]] | None = None,
    now: datetime = NOW,
) -> Decided:
    keys = {StreamKey(each.tenant_id, each.aggregate_id) for each in requests if each.aggregate_id}
    loaded = {
        key: Loaded(ORDER.initial_state(key.tenant_id, key.aggregate_id), 0, None, None) for key in keys
    }
    deciding = Deciding(
        ORDERS, ORDERS.topics(), known=known or {}, states={**loaded, **(states or {})}, now=now
    )
    for each in requests:
        deciding.decide(each)
    return deciding.result()


def outcome_of(decided: Decided, number: int) -> dict[str, Any]:
    answers = [message for message in decided.batch.messages if message.topic == "orders.outcomes"]
    return json.loads(answers[number].value or b"")


def test_later_commands_see_what_earlier_ones_did() -> None:
    """The commands of a batch build on each other, and one append holds all events of an order."""
    order_id = str(uuid4())
    decided = decide(
        request(command("CreateOrder", order_id, CREATE)),
        request(command("AddItem", order_id, ITEM)),
        request(command("ConfirmOrder", order_id)),
    )
    (append,) = decided.batch.appends
    assert append.expected_version == 0
    assert [event.event_type for event in append.events] == ["OrderCreated", "ItemAdded", "OrderConfirmed"]
    topics = [message.topic for message in decided.batch.messages]
    assert topics == ["orders.events", "orders.outcomes"] * 3
    versions = [
        dict(decode_headers(message.headers))["ce_version"]
        for message in decided.batch.messages
        if message.topic == "orders.events"
    ]
    assert versions == [b"1", b"2", b"3"]
    assert len({message.shard for message in decided.batch.messages}) == 1
    (state,) = decided.states.values()
    assert (state.version, state.state.status) == (3, "confirmed")


def test_a_refusal_rests_on_the_version_it_was_decided_on() -> None:
    """An outcome without events is stored only while its order is at the version that was looked at."""
    order_id = uuid4()
    refused = request(command("ConfirmOrder", str(order_id)))
    decided = decide(refused)
    assert decided.batch.unchanged == {StreamKey("store-1", order_id): 0}
    assert outcome_of(decided, 0)["code"] == "order_not_found"
    created = decide(request(command("CreateOrder", str(order_id), CREATE)), refused)
    assert created.batch.unchanged == {}


def test_a_repeat_gets_the_first_answer_again() -> None:
    """A command id seen again with the same body changes nothing and is answered byte for byte as before."""
    order_id, command_id = str(uuid4()), str(uuid4())
    create = request(command("CreateOrder", order_id, CREATE))
    add = command("AddItem", order_id, ITEM, command_id=command_id)
    # Another spelling of the same values, later and from another place: still the same command.
    again = command("AddItem", order_id, {**ITEM, "quantity": 1.0}, command_id=command_id, source="/till/8")
    decided = decide(create, request(add), request(again))
    assert len(decided.batch.outcomes) == 2
    _, first, second = [m for m in decided.batch.messages if m.topic == "orders.outcomes"]
    assert first == second
    stored = {
        (outcome.tenant_id, outcome.command_id): StoredOutcome(
            outcome.fingerprint, outcome.headers, outcome.value
        )
        for outcome in decided.batch.outcomes
    }
    later = decide(request(again), known=stored)
    assert (later.batch.appends, later.batch.outcomes) == ([], [])
    assert later.batch.messages == [first]


def test_an_id_reused_with_another_body_is_refused_and_not_stored() -> None:
    """The same command id with other data, actor or expected version gets command_id_reused."""
    order_id, command_id = str(uuid4()), str(uuid4())
    first = command("CreateOrder", order_id, CREATE, command_id=command_id)
    others = [
        command("CreateOrder", order_id, {**CREATE, "cashier_id": "ben"}, command_id=command_id),
        command("CreateOrder", order_id, CREATE, command_id=command_id, actor="ben"),
        command("CreateOrder", order_id, CREATE, command_id=command_id, expectedversion="0"),
        command("ConfirmOrder", order_id, command_id=command_id),
    ]
    decided = decide(request(first), *map(request, others))
    assert len(decided.batch.outcomes) == 1
    assert [outcome_of(decided, n)["code"] for n in range(1, 5)] == ["command_id_reused"] * 4


def test_a_command_recovered_by_its_outcome_alone_is_known_by_its_id() -> None:
    """Where a recovery could not tell what a command asked for, whatever has its id is a repeat of it."""
    order_id, command_id = str(uuid4()), str(uuid4())
    stored = {("store-1", UUID(command_id)): StoredOutcome(UNKNOWN_FINGERPRINT, "[]", b"{}")}
    decided = decide(request(command("CreateOrder", order_id, CREATE, command_id=command_id)), known=stored)
    assert (decided.batch.appends, decided.batch.outcomes) == ([], [])
    assert [message.value for message in decided.batch.messages] == [b"{}"]


def test_a_command_id_of_another_aggregate_type_was_used_before() -> None:
    """All aggregate types share a tenant's command ids: one that was used for another is refused."""
    order_id, command_id = str(uuid4()), str(uuid4())
    stored = {("store-1", UUID(command_id)): StoredOutcome(None, "[]", b"{}")}
    decided = decide(request(command("CreateOrder", order_id, CREATE, command_id=command_id)), known=stored)
    assert (decided.batch.appends, decided.batch.outcomes) == ([], [])
    assert outcome_of(decided, 0)["code"] == "command_id_reused"


def test_tenants_do_not_share_command_ids_or_orders() -> None:
    """The same command id and order id in two tenants are two commands and two orders."""
    order_id, command_id = str(uuid4()), str(uuid4())
    decided = decide(
        request(command("CreateOrder", order_id, CREATE, command_id=command_id, tenant="a")),
        request(command("CreateOrder", order_id, CREATE, command_id=command_id, tenant="b")),
        request(command("AddItem", order_id, ITEM, tenant="c")),
    )
    assert [result for _, result in decided.results] == ["accepted", "accepted", "order_not_found"]
    ids = [event.event_id for append in decided.batch.appends for event in append.events]
    assert len(set(ids)) == 2


def test_a_tenants_own_settings_give_the_business_day() -> None:
    """The same moment counts for the day before where days end late, and for the next one elsewhere."""
    night = "2026-01-31T23:30:00Z"
    tenants = {
        "bar": TenantSettings(time_zone="Europe/Berlin", day_ends_at="04:00"),
        "shop": TenantSettings(time_zone="Europe/Berlin"),
    }
    sent = [
        command("CreateOrder", str(uuid4()), CREATE, tenant=name, time=night) for name in ("bar", "shop", "x")
    ]
    decided = decide(*(request(each, tenants=tenants) for each in sent))
    days = {
        append.key.tenant_id: json.loads(append.events[0].payload)["business_day"]
        for append in decided.batch.appends
    }
    assert days == {"bar": "2026-01-31", "shop": "2026-02-01", "x": "2026-01-31"}


def told_ahead(decided: Decided) -> list[int | None]:
    """Give what each outcome says of the terminal's clock."""
    headers = [
        dict(decode_headers(each.headers))
        for each in decided.batch.messages
        if each.topic == "orders.outcomes"
    ]
    return [None if (seconds := each.get("ce_clockahead")) is None else int(seconds) for each in headers]


def from_clock(
    ahead: float, kind: str = "CreateOrder", tenant: str = "store-1", command_id: str | None = None
) -> dict[str, Any]:
    """Make a command of a terminal whose clock is so many seconds ahead of NOW."""
    time = (NOW + timedelta(seconds=ahead)).isoformat()
    return command(kind, str(uuid4()), CREATE, time=time, tenant=tenant, command_id=command_id)


def test_a_clock_too_far_ahead_is_told_and_the_command_taken() -> None:
    """Beyond the limit, 300 seconds unless set, the outcome says by how much; up to it, nothing."""
    sent = [from_clock(ahead) for ahead in (-90_000, 0, 300, 300.9, 301, 86_400.5)]
    strict = from_clock(11, tenant="strict")
    tenants = {"strict": TenantSettings(clock_ahead_limit=10)}
    requests = [request(each, tenants=tenants) for each in (*sent, strict)]
    decided = decide(*requests)
    assert {result for _, result in decided.results} == {"accepted"}
    assert told_ahead(decided) == [None, None, None, None, 301, 86_400, 11]
    assert decided.clocks_ahead == list(zip(requests[4:], (301, 86_400, 11), strict=True))


def test_a_clock_too_far_ahead_is_refused_only_where_the_tenant_says_so() -> None:
    """The refusal has a code of its own and says what to do; what makes no sense stays malformed."""
    tenants = {"strict": TenantSettings(refuse_clock_ahead=True)}
    sent = [
        from_clock(301, tenant="strict"),
        from_clock(301),
        from_clock(300, tenant="strict"),
        from_clock(301, "StealItem", tenant="strict"),
    ]
    decided = decide(*(request(each, tenants=tenants) for each in sent))
    codes = [result for _, result in decided.results]
    assert codes == ["clock_ahead", "accepted", "accepted", "malformed"]
    assert told_ahead(decided) == [301, 301, None, 301]
    assert outcome_of(decided, 0)["message"] == (
        "The terminal's clock is 301 seconds ahead of ours, and at most 300 are allowed: set it, then send "
        "this under a new id."
    )
    assert len(decided.batch.appends) == 2


def test_a_command_keeps_what_was_decided_of_its_clock() -> None:
    """Sent again when its time has come, or after the setting has changed, it gets its first outcome."""
    strict = {"store-1": TenantSettings(refuse_clock_ahead=True)}
    sent = from_clock(400, command_id=str(uuid4()))
    first = decide(request(sent, tenants=strict))
    (outcome,) = first.batch.outcomes
    known = {
        (outcome.tenant_id, outcome.command_id): StoredOutcome(
            outcome.fingerprint, outcome.headers, outcome.value
        )
    }
    later = decide(request(sent), known=known, now=NOW + timedelta(hours=1))
    assert later.batch.messages == first.batch.messages
    assert (later.batch.appends, later.batch.outcomes, later.clocks_ahead) == ([], [], [])


def test_recorded_time_never_runs_backwards_within_an_order() -> None:
    """A database clock behind the order's last event does not take the order back in time."""
    order_id = str(uuid4())
    first = decide(request(command("CreateOrder", order_id, CREATE)))
    earlier = NOW - timedelta(minutes=5)
    second = decide(request(command("AddItem", order_id, ITEM)), states=dict(first.states), now=earlier)
    assert second.batch.appends[0].recorded_at == NOW


def test_a_malformed_command_is_answered_even_without_an_order() -> None:
    """What names its id and tenant is rejected with the field at fault, and kept as an outcome."""
    no_order = command("AddItem", "not-a-uuid", ITEM)
    no_time = command("AddItem", str(uuid4()), ITEM, time="yesterday")
    no_json = {**command("AddItem", str(uuid4()), ITEM), "value": b'{"quantity": NaN}'}
    unknown = command("StealItem", str(uuid4()), ITEM)
    decided = decide(*map(request, (no_order, no_time, no_json, unknown)))
    answers = [outcome_of(decided, number) for number in range(4)]
    assert {answer["code"] for answer in answers} == {"malformed"}
    fields = [answer["message"].partition(":")[0] for answer in answers]
    assert fields == ["subject", "time", "value", "type"]
    assert decided.batch.outcomes[0].aggregate_id is None
    assert decided.batch.unchanged == {}


def test_a_long_order_gets_a_snapshot_with_its_events() -> None:
    """An append that passes the snapshot interval stores the state it leads to."""
    order_id = str(uuid4())
    adds = [request(command("AddItem", order_id, ITEM)) for _ in range(100)]
    decided = decide(request(command("CreateOrder", order_id, CREATE)), *adds)
    (snapshot,) = decided.batch.snapshots
    assert snapshot.version == 101
    assert ORDER.load_state(snapshot.state) == next(iter(decided.states.values())).state


def test_derived_ids_are_uuids_of_version_5() -> None:
    """An id derived from a command is the UUIDv5 of its id and its tenant: the same in every build."""
    asked = request(command("CreateOrder", str(uuid4()), CREATE, tenant="störe"))
    assert derived_id(asked, "0") == str(uuid5(asked.command_id, "störe:0"))
