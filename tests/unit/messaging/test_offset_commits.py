"""What of a member's positions is still to be committed, whatever happens to the commits before it."""

import asyncio
from collections.abc import Mapping

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import CommitFailedError, KafkaError

from harness.waiting import eventually
from messaging import offset_commits
from messaging.offset_commits import OffsetCommits

PARTITION = TopicPartition("orders.events", 0)


class Kafka:
    """Keeps what is committed, slowly where it is told to, and raises what it is told to, once each."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.tries: list[int] = []
        self.asked, self.goes_on = asyncio.Event(), asyncio.Event()
        self.goes_on.set()

    async def commit(self, positions: Mapping[TopicPartition, int]) -> None:
        self.tries.append(positions[PARTITION])
        self.asked.set()
        await self.goes_on.wait()
        if self.errors:
            raise self.errors.pop(0)

    async def tried(self, *offsets: int) -> None:
        async def so() -> bool:
            return self.tries == list(offsets)

        await eventually(so)


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let each interval end at once."""
    monkeypatch.setattr(offset_commits, "INTERVAL", 0.0)


async def test_what_is_reached_during_a_commit_is_committed_after_it() -> None:
    """A position that is reached while a commit is under way needs no further one to be committed."""
    kafka, acknowledged = Kafka(), dict[TopicPartition, int]()
    commits = OffsetCommits(kafka.commit, acknowledged.update)
    kafka.goes_on.clear()
    commits.reached({PARTITION: 1})
    await kafka.asked.wait()
    commits.reached({PARTITION: 2})
    kafka.goes_on.set()
    await kafka.tried(1, 2)
    assert acknowledged == {PARTITION: 2}


async def test_a_commit_that_fails_is_made_again() -> None:
    """What Kafka does not take stays due, though nothing more is handled."""
    kafka, acknowledged = Kafka(KafkaError(), TimeoutError()), dict[TopicPartition, int]()
    OffsetCommits(kafka.commit, acknowledged.update).reached({PARTITION: 7})
    await kafka.tried(7, 7, 7)
    assert acknowledged == {PARTITION: 7}


async def test_what_was_taken_away_is_not_committed_again() -> None:
    """The offset of a partition that another has by now is left to that one."""
    kafka = Kafka(CommitFailedError())
    commits = OffsetCommits(kafka.commit, lambda _: None)
    commits.reached({PARTITION: 1})
    await kafka.tried(1)
    await commits.flush()
    commits.reached({PARTITION: 5})
    commits.forget()
    await commits.flush()
    assert kafka.tries == [1]
