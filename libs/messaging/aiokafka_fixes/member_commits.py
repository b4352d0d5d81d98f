"""Has a consumer commit as the member of its group that it is, or not at all.

Who was expelled has no generation until it has joined anew. aiokafka then commits with generation -1, as a
consumer without a group does, and a group without members accepts that: what an expelled member had in hand
overwrote an operator's reset. Kafka's own client for Java refuses such a commit, which
is what is done here.
"""

from typing import Any

from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.errors import UnknownMemberIdError
from aiokafka.protocol.commit import OffsetCommitRequest

_commit = GroupCoordinator._do_commit_offsets  # noqa: SLF001 - each commit and each of its retries comes here


async def _commit_as_member(coordinator: Any, assignment: Any, offsets: Any) -> None:  # noqa: ANN401 - untyped
    # The request is made before anything is awaited, so the generation is still the one looked at here.
    subscribed = coordinator._subscription.partitions_auto_assigned()  # noqa: SLF001 - it has no other face
    if subscribed and coordinator.generation == OffsetCommitRequest.DEFAULT_GENERATION_ID:
        raise UnknownMemberIdError
    await _commit(coordinator, assignment, offsets)


def commit_as_members_only() -> None:
    """Have every consumer of this process do so; a refused commit raises aiokafka's CommitFailedError.

    A consumer that was assigned its partitions by hand commits as before: so an operator resets a group.
    """
    GroupCoordinator._do_commit_offsets = _commit_as_member  # noqa: SLF001 - aiokafka has no setting for it
