"""Two processes of one service: they come, go, stand still, and wake up after another has taken over."""

from typing import Any

import pytest

from faults.runner import PART_SENT
from faults.town import Town, stopped, wake
from harness.waiting import eventually

_CHECKPOINTS = """
SELECT partition, next_offset, advanced_at, epoch FROM projections.checkpoints
WHERE read_model = $1 ORDER BY partition
"""


async def checkpoints(town: Town, name: str) -> tuple[list[Any], list[int]]:
    """Give a read model's checkpoints as they were last moved, and their epochs."""
    rows = [tuple(row) for row in await town.admin.fetch(_CHECKPOINTS, name)]
    return [row[:3] for row in rows], [row[3] for row in rows]


@pytest.mark.long
@pytest.mark.parametrize("name", ["command_service", "outbox_relay", "sales"])
async def test_processes_come_and_go_under_load(town: Town, name: str) -> None:
    """A second process that joins, and the first one's leaving, lose, double and reorder nothing."""
    await town.run()
    async with town.under_load():
        second = await town.start(name).ready()
        await town.stop(name)
        town.running[name] = second
        third = await town.start(name).ready()
    await town.assert_guarantees()
    assert await third.stop() == 0


@pytest.mark.long
@pytest.mark.parametrize(
    ("window", "call"), [("command_service.in_hand", 2), ("command_service.before_commit", 2)]
)
async def test_a_command_service_that_wakes_up_decides_nothing_anew(
    town: Town, window: str, call: int
) -> None:
    """Past its session timeout another has its partitions; its batch gives only repeats."""
    await town.run()
    await town.stop("command_service")
    await town.load()
    still = town.faulty("command_service", window, call, "stop")
    await stopped(still, window)
    await town.run()
    await town.assert_guarantees()
    before = await town.counts()
    await wake(still, "consumer.assigned")
    await town.assert_guarantees()
    assert await town.counts() == before
    await town.load()
    await town.assert_guarantees()
    assert await still.stop() == 0


@pytest.mark.long
@pytest.mark.parametrize(("window", "call"), [("projector.in_hand", 2), ("projector.rows_written", 2)])
async def test_a_projector_that_wakes_up_writes_nothing(town: Town, window: str, call: int) -> None:
    """Past its session timeout another has its partitions under newer epochs: it is fenced off its rows."""
    await town.run()
    await town.quiet()
    await town.stop("sales")
    await town.load()
    still = town.faulty("sales", window, call, "stop")
    await stopped(still, window)
    _, epochs_of_the_fenced = await checkpoints(town, "sales")
    await town.run()
    await town.assert_guarantees()
    rows, (moves, epochs) = await town.kept("sales"), await checkpoints(town, "sales")
    assert all(new > old for new, old in zip(epochs, epochs_of_the_fenced, strict=True))
    await wake(still, "consumer.assigned")
    await town.assert_guarantees()
    assert await town.kept("sales") == rows
    assert (await checkpoints(town, "sales"))[0] == moves
    if window == "projector.in_hand":
        assert "consumer.fenced" in still.log
    await town.load()
    await town.assert_guarantees()
    assert await still.stop() == 0


async def _stands_still(town: Town, window: str, call: int) -> tuple[Any, int, int]:
    """Have a relay stand still with rows in hand; give it, their number and the repeats so far."""
    await town.run()
    repeats = await town.assert_guarantees()
    await town.stop("outbox_relay")
    await town.load()
    await town.stored()
    rows = await town.admin.fetchval("SELECT count(*) FROM outbox")
    still = town.faulty("outbox_relay", window, call, "stop")
    await stopped(still, window)
    await town.run("outbox_relay")
    return still, rows, repeats


async def _wakes_up(town: Town, still: Any, window: str, rows: int, repeats: int) -> None:
    """Let the other relay take over; then what the woken one still sends are repeats."""
    await town.load()
    taken_over = await town.assert_guarantees() - repeats
    assert taken_over == rows if window == "outbox_relay.acknowledged" else 0 < taken_over < rows
    await wake(still, "outbox.publish_failed")
    assert taken_over <= await town.assert_guarantees() - repeats <= rows
    # It stands by now: the other one's end makes it go on.
    await town.stop("outbox_relay")
    town.running["outbox_relay"] = still
    await town.load()
    await town.assert_guarantees()


@pytest.mark.long
@pytest.mark.parametrize(("window", "call"), [(PART_SENT, 5), ("outbox_relay.acknowledged", 2)])
async def test_a_relay_that_lost_its_lock_in_mid_batch_sends_only_repeats(
    town: Town, window: str, call: int
) -> None:
    """A lost session takes the locks along: another relay sends the rows, what the first adds are repeats."""
    still, rows, repeats = await _stands_still(town, window, call)
    assert await town.admin.fetchval(
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
        " WHERE datname = current_database() AND application_name = 'outbox_relay'"
        " AND pid IN (SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted)"
    )
    await _wakes_up(town, still, window, rows, repeats)


@pytest.mark.long
@pytest.mark.parametrize(("window", "call"), [(PART_SENT, 5), ("outbox_relay.acknowledged", 2)])
async def test_a_relay_that_stands_still_is_relieved(town: Town, window: str, call: int) -> None:
    """The database ends the session of a relay that stands still; another one goes on in its place."""
    still, rows, repeats = await _stands_still(town, window, call)

    async def relieved() -> bool:
        return await town.admin.fetchval("SELECT count(*) FROM outbox") == 0

    await eventually(relieved, deadline=90)
    await _wakes_up(town, still, window, rows, repeats)
