"""`till verify --topic`: the events on the topic against those in the store."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from aiokafka import ConsumerRecord

from integration.projector.order_log import VOID
from integration.till.verified import ORDER, Verified, stored_log


@pytest.fixture
def made(
    database: Any, kafka_server: Any, topic_prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Verified:
    """Give a log in the store with all read models made of it; the topic is the test's."""
    stored = stored_log(database, kafka_server, topic_prefix, tmp_path, monkeypatch)
    stored.make_read_models()
    return stored


Records = list[ConsumerRecord]


def _without_the_last(records: Records) -> Records:
    return records[:-1]


def _with_a_stranger(records: Records) -> Records:
    headers = [(n, b"5" if n == "ce_version" else v) for n, v in records[-1].headers]
    return [*records, replace(records[-1], headers=tuple(headers))]


def _with_another_id(records: Records) -> Records:
    headers = [(n, str(uuid4()).encode() if n == "ce_id" else v) for n, v in records[-1].headers]
    return [*records[:-1], replace(records[-1], headers=tuple(headers))]


def _out_of_order(records: Records) -> Records:
    return [*records[:-2], records[-1], records[-2]]


def _without_one_in_the_middle(records: Records) -> Records:
    return [*records[:2], records[3]]


def _with_another_key(records: Records) -> Records:
    return [*records[:-1], replace(records[-1], key=b"another")]


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (_without_the_last, "version 4 is in the store and not on the topic"),
        (_with_a_stranger, "the store lacks its event"),
        (_with_another_id, "another event than the store has"),
        (_out_of_order, "version 3 comes after version 4"),
        (_without_one_in_the_middle, "version 3 is in the store and not on the topic"),
        (_with_another_key, "no event of an order"),
    ],
)
def test_the_topic_must_have_the_events_of_the_store(
    made: Verified, change: Callable[[Records], Records], what: str
) -> None:
    """Each stored event is on the topic under its id, in version order, and nothing else is."""
    own = str(ORDER.aggregate_id).encode()
    others = [each for records in made.log.records.values() for each in records if each.key != own]
    order = [each for records in made.log.records.values() for each in records if each.key == own]
    made.send([*others, *change(order)])
    status, answer = made.verify("sales", "--topic")
    assert (status, answer["first"]["where"]) == (1, "topic")
    assert what in answer["first"]["what"]


def _own_and_others(made: Verified) -> tuple[Records, Records]:
    own = str(ORDER.aggregate_id).encode()
    records = [each for partition in made.log.records.values() for each in partition]
    return [each for each in records if each.key == own], [each for each in records if each.key != own]


@pytest.mark.parametrize("places", [(0, 0, 2, 2), (2, 2, 0, 0)])
def test_an_order_may_go_on_in_another_partition(made: Verified, places: Sequence[int]) -> None:
    """After partitions were added an order's events are in two: whichever is read first, nothing differs."""
    own, others = _own_and_others(made)
    made.send([*others, *(replace(each, partition=n) for each, n in zip(own, places, strict=True))])
    status, answer = made.verify("sales", "--topic")
    assert (status, answer["first"]) == (0, None)


def test_what_lacks_is_found_across_partitions(made: Verified) -> None:
    """An event that is in no partition is missing, though another partition has later ones."""
    own, others = _own_and_others(made)
    made.send([*others, replace(own[0], partition=0), *(replace(each, partition=2) for each in own[2:])])
    status, answer = made.verify("sales", "--topic")
    assert (status, answer["counts"]["topic"]["differences"]) == (1, 1)
    assert "version 2 is in the store and not on the topic" in answer["first"]["what"]


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("ce_version", str(10**20 - 1).encode()),
        ("ce_version", b"0"),
        ("ce_tenantid", b"store\x00"),
        ("ce_tenantid", b"\x1b]0;owned\x07\x1b[2J"),
        ("ce_actor", None),
        ("ce_id", b"\xff"),
    ],
)
def test_odd_headers_make_a_foreign_record(made: Verified, header: str, value: bytes | None) -> None:
    """A record with headers that no relay of ours sends is a difference, and nothing else is disturbed."""
    own, others = _own_and_others(made)
    odd = tuple((name, value if name == header else raw) for name, raw in own[-1].headers)
    made.send([*own, *others, replace(own[-1], headers=odd)])
    status, answer = made.verify("sales", "--topic")
    assert (status, answer["counts"]["topic"]["differences"]) == (1, 1)
    assert "is no event of an order" in answer["first"]["what"]


def test_repeats_on_the_topic_are_no_difference(made: Verified) -> None:
    """A record may come again after a crash: only first occurrences must be in order."""
    records = [each for records in made.log.records.values() for each in records]
    made.send([*records, *records[-9:]])
    status, answer = made.verify("sales", "--topic")
    assert (status, answer["counts"]["topic"]["checked"]) == (0, len(records) + 9)


def test_what_waits_in_the_outbox_is_not_missing(made: Verified) -> None:
    """An event whose message was not sent yet can't be on the topic: not checked, and no difference."""
    own = str(ORDER.aggregate_id).encode()
    records = [each for records in made.log.records.values() for each in records]
    made.send(records)
    made.log.do(ORDER, VOID)
    made.store()
    made.sql(
        "INSERT INTO outbox (shard, topic, key, headers, value) VALUES (0, $1, $2, '[]', '')",
        made.topics.events,
        own,
    )
    status, answer = made.verify("audit_log", "--topic")
    assert status == 2
    assert (answer["counts"]["topic"]["behind"], answer["counts"]["topic"]["differences"]) == (1, 0)
