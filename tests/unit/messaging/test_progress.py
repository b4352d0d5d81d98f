"""The watcher of a consumer's lag, with a consumer that answers as it is told."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import IllegalStateError, KafkaConnectionError
from prometheus_client import REGISTRY

from harness.waiting import eventually
from messaging import Unrecoverable, progress
from messaging.lag import OldestUnhandled
from messaging.progress import Progress
from runtime import Settings

PARTITION = TopicPartition("watched", 0)


class Answers:
    """A consumer that gives these positions, or raises them; the last one for ever."""

    def __init__(self, *positions: int | Exception) -> None:
        self.positions = list(positions)

    async def end_offsets(self, partitions: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        return dict.fromkeys(partitions, 10)

    def highwater(self, _partition: TopicPartition) -> int | None:
        return None

    async def topics(self) -> set[str]:
        return {"watched"}

    async def position(self, _partition: TopicPartition) -> int:
        answer = self.positions.pop(0) if len(self.positions) > 1 else self.positions[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.fixture(autouse=True)
def _often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "WATCH_INTERVAL", 0.02)
    # Its own tests measure it on a real Kafka.
    monkeypatch.setattr(OldestUnhandled, "look", _nothing)


async def _nothing(*_: Any) -> None: ...


def member(**settings: Any) -> Progress:
    made = Progress(Settings(**settings), "watched", "g", positions={PARTITION: 7}, in_flight=asyncio.Lock())
    made.joined()
    return made


async def test_a_partition_taken_away_while_its_lag_is_read_ends_no_watch() -> None:
    """A revocation between two questions is no fault of Kafka's: the watcher goes on measuring."""
    watched = member(retry_budget=0.01)
    answers = Answers(*[IllegalStateError(f"No current assignment for {PARTITION}")] * 5, 8)
    watching = asyncio.create_task(watched.watch(lambda: answers))

    async def measured() -> bool:
        assert not watching.done()
        labels = {"topic": "watched", "group": "g", "partition": "0"}
        return REGISTRY.get_sample_value("tillstream_consumer_lag_records", labels) == 2

    await eventually(measured)
    watching.cancel()
    watched.forget([PARTITION])


async def test_a_kafka_that_stays_silent_is_told_of() -> None:
    """Past the retry budget the watcher gives the error that it still gets."""
    error = KafkaConnectionError("gone")
    watching = member(retry_budget=0.01).watch(lambda: Answers(error))
    assert await asyncio.wait_for(watching, 30) is error


async def test_a_topic_that_ends_before_what_was_handled_ends_the_watch() -> None:
    """Records that Kafka lost after they were handled are told at once: their successors would be missed."""
    watched = Progress(Settings(), "watched", "g", positions={PARTITION: 17}, in_flight=asyncio.Lock())
    async with asyncio.timeout(10):
        error = await watched.watch(lambda: Answers(17))
    assert isinstance(error, Unrecoverable)
    assert "ends at 10 by now, before 17" in str(error)
