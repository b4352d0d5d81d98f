"""Each service is killed exactly between two steps; a sound process then goes on where the store stands."""

import pytest

from faults.runner import PART_SENT
from faults.town import Town, killed
from harness.groups import last_decision, rewound
from readmodels import READ_MODELS

PROJECTORS = sorted(READ_MODELS, reverse=True)


@pytest.mark.parametrize(
    ("window", "call"),
    [
        ("command_service.assigned", 1),
        ("command_service.before_append", 2),
        ("command_service.before_commit", 3),
        ("command_service.committed", 2),
    ],
)
async def test_a_killed_command_service_loses_and_doubles_nothing(town: Town, window: str, call: int) -> None:
    """A command whose handling was cut off anywhere still has one outcome and one effect."""
    await town.run("outbox_relay", *PROJECTORS)
    await town.stop("command_service")
    await town.load()
    before = await town.admin.fetchval("SELECT count(*) FROM command_outcomes")
    await killed(town.faulty("command_service", window, call), window)
    stored = await town.admin.fetchval("SELECT count(*) FROM command_outcomes") - before
    # What the transaction in hand had written is gone, or is there: the offsets don't tell.
    batches = {"committed": call, "assigned": 0}.get(window.partition(".")[2], call - 1)
    assert (stored > 0) == (batches > 0)
    assert stored <= batches * 10
    await town.expel("command_service")
    await town.run()
    await town.assert_guarantees()


@pytest.mark.parametrize(("window", "call"), [(PART_SENT, 5), ("outbox_relay.acknowledged", 2)])
async def test_a_killed_relay_sends_again_what_it_had_not_deleted(town: Town, window: str, call: int) -> None:
    """What was sent but not deleted comes again byte for byte, and nothing is left out."""
    await town.run()
    repeats = await town.assert_guarantees()
    await town.stop("outbox_relay")
    await town.load()
    await town.stored()
    rows = await town.admin.fetchval("SELECT count(*) FROM outbox")
    await killed(town.faulty("outbox_relay", window, call), window)
    assert await town.admin.fetchval("SELECT count(*) FROM outbox") == rows
    await town.run()
    again = await town.assert_guarantees() - repeats
    assert again == rows if window == "outbox_relay.acknowledged" else 0 < again < rows


@pytest.mark.parametrize(
    ("window", "call"),
    [
        pytest.param("projector.checkpoint_moved", 2, marks=pytest.mark.long),
        ("projector.rows_written", 2),
        ("projector.committed", 2),
        pytest.param("projector.taken", 1, marks=pytest.mark.long),
        ("projector.assigned", 1),
        ("projector.half_refolded", 5),
    ],
)
@pytest.mark.parametrize(
    "name", [*PROJECTORS[:1], *(pytest.param(name, marks=pytest.mark.long) for name in PROJECTORS[1:])]
)
async def test_a_killed_projector_leaves_rows_equal_to_the_fold(
    town: Town, name: str, window: str, call: int
) -> None:
    """A read model whose projector was cut off anywhere still ends as the fold of the log."""
    await town.run()
    if window == "projector.half_refolded":
        # Only what has rows can be folded again.
        await town.load()
    await town.quiet()
    await town.stop(name)
    await town.load()
    since = await last_decision(town.admin)
    if window == "projector.half_refolded":
        await town.rewind(name)
    before, applied = await town.kept(name), await town.applied(name)
    await killed(town.faulty(name, window, call), window)
    after = await town.kept(name)
    refolding = await town.admin.fetchval(
        "SELECT count(*) FROM projections.checkpoints WHERE read_model = $1 AND refolding", name
    )
    committed = await town.committed(name)
    if window == "projector.half_refolded":
        assert after == before
        assert refolding
        assert await rewound(town.admin, name, since) == applied
        assert not any(found.ours for found in committed.values())
    else:
        assert (after != before) == (window not in {"projector.taken", "projector.assigned"})
        assert not refolding
    await town.expel(name)
    await town.run()
    await town.assert_guarantees()
