"""What Kafka answers about a group's offsets, and what it leaves out."""

from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError
from aiokafka.structs import OffsetAndMetadata

from messaging import Committed, KafkaConnection, committed_offsets

FIRST, SECOND = TopicPartition("t", 0), TopicPartition("t", 1)


@pytest.fixture
def answer(monkeypatch: pytest.MonkeyPatch) -> dict[TopicPartition, OffsetAndMetadata]:
    """Give what the broker answers, to be filled in."""
    found: dict[TopicPartition, OffsetAndMetadata] = {}

    async def nothing(_admin: Any) -> None: ...

    async def offsets(_admin: Any, _group: str, **_: Any) -> dict[TopicPartition, OffsetAndMetadata]:
        return found

    monkeypatch.setattr(AIOKafkaAdminClient, "start", nothing)
    monkeypatch.setattr(AIOKafkaAdminClient, "close", nothing)
    monkeypatch.setattr(AIOKafkaAdminClient, "list_consumer_group_offsets", offsets)
    return found


async def test_an_incomplete_answer_is_not_taken_for_no_offset(
    answer: dict[TopicPartition, OffsetAndMetadata],
) -> None:
    """A partition that the answer leaves out is tried again: taken for none it would undo a reset."""
    answer[FIRST] = OffsetAndMetadata(5, "")
    with pytest.raises(KafkaError) as fault:
        await committed_offsets(KafkaConnection("nowhere:1"), "g", [FIRST, SECOND])
    assert fault.value.retriable


async def test_no_offset_is_told_from_ours_and_from_a_reset(
    answer: dict[TopicPartition, OffsetAndMetadata],
) -> None:
    """An offset of -1 is none; our mark tells our commits from any tool's."""
    answer[FIRST] = OffsetAndMetadata(-1, "")
    answer[SECOND] = OffsetAndMetadata(5, "")
    found = await committed_offsets(KafkaConnection("nowhere:1"), "g", [FIRST, SECOND])
    assert found == {SECOND: Committed(5, ours=False)}
    answer[SECOND] = OffsetAndMetadata(5, "tillstream")
    found = await committed_offsets(KafkaConnection("nowhere:1"), "g", [SECOND])
    assert found == {SECOND: Committed(5, ours=True)}
