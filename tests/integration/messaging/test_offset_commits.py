"""When a member of a group commits how far it has got, on a real Kafka."""

import asyncio

import pytest

from harness.waiting import eventually
from integration.messaging.test_batch_consumer import Consuming, Recording, consuming, handled
from messaging import Committed, offset_commits

__all__ = ["consuming"]

NEVER = 3600.0


@pytest.fixture
def interval(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no interval end."""
    monkeypatch.setattr(offset_commits, "INTERVAL", NEVER)


async def test_batches_within_an_interval_are_committed_together(
    consuming: Consuming, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is handled within an interval of a commit is committed at its end, though nothing more comes."""
    monkeypatch.setattr(offset_commits, "INTERVAL", 0.2)
    handler = Recording()
    consuming.start(handler)
    for number in range(5):
        await consuming.send(b"%d" % number)
        await handled(handler, number + 1)

    async def all_committed() -> bool:
        return await consuming.committed() == Committed(5, ours=True)

    await eventually(all_committed)
    assert set(handler.acknowledged_offsets.values()) == {5}


@pytest.mark.usefixtures("interval")
async def test_no_batch_has_a_commit_of_its_own(consuming: Consuming) -> None:
    """Until the interval ends Kafka knows of the commit at the assignment alone; a stop commits the rest."""
    handler = Recording()
    consuming.start(handler)
    for number in range(5):
        await consuming.send(b"%d" % number)
        await handled(handler, number + 1)
    assert await consuming.committed() == Committed(0, ours=True)
    await consuming.stop()
    assert await consuming.committed() == Committed(5, ours=True)


@pytest.mark.usefixtures("interval")
async def test_what_is_given_back_is_committed_first(consuming: Consuming) -> None:
    """Whoever gets the partition next goes on behind what was handled, and handles nothing again."""
    first, second = Recording(), Recording()
    consuming.start(first)
    await consuming.send(b"1", b"2")
    await handled(first, 2)
    # Two members and one partition: whoever has it after the rebalance, both have given it back before.
    consuming.start(second)

    async def shared() -> bool:
        return await consuming.committed() == Committed(2, ours=True)

    await eventually(shared)
    await consuming.send(b"3")
    async with asyncio.timeout(60):
        while b"3" not in first.handled + second.handled:  # noqa: ASYNC110 - either of two
            await asyncio.sleep(0.02)
    assert sorted(first.handled + second.handled) == [b"1", b"2", b"3"]
