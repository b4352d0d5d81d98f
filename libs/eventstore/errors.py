"""What can go wrong in the event store.

The tree::

    EventStoreError
    ├── Conflict                the batch was rolled back whole: load again, decide again
    │   ├── VersionConflict     a stream is not at the version its events or its outcome were decided on
    │   └── OutcomeConflict     a command of the batch has a stored outcome already
    ├── ClockWentBack           new events are recorded before the ones they follow
    ├── VersionNotFound         a stream doesn't reach the version asked for
    ├── BrokenStream            the versions read are not the ones that must follow
    ├── NewerSchema             an event was written by a newer build than this one
    ├── UpcasterGap             the upcaster chain misses a step, or has one that leads nowhere
    └── MigrationRefused        the database's schema is not one this build can bring up to date

Errors of the database itself pass through as asyncpg raises them.
"""

from collections.abc import Iterable, Mapping
from uuid import UUID

from eventstore.records import StreamKey


class EventStoreError(Exception):
    """The root of the tree above."""


class Conflict(EventStoreError):
    """Another writer was first. Nothing of the batch was stored."""


class VersionConflict(Conflict):
    """The streams `keys` are not at the versions that the batch was decided on."""

    def __init__(self, keys: Iterable[StreamKey]) -> None:
        self.keys = frozenset(keys)
        super().__init__(f"{len(self.keys)} streams have moved on, among them {min(self.keys)}")


class OutcomeConflict(Conflict):
    """The commands `commands` (tenant id, command id) have outcomes already."""

    def __init__(self, commands: Iterable[tuple[str, UUID]]) -> None:
        self.commands = frozenset(commands)
        super().__init__(
            f"{len(self.commands)} commands have outcomes already, among them {min(self.commands)}"
        )


class ClockWentBack(EventStoreError):
    """The new events of `keys` have a `recorded_at` before that of the event they follow."""

    def __init__(self, keys: Iterable[StreamKey]) -> None:
        self.keys = frozenset(keys)
        super().__init__(
            f"recorded_at must not be before that of the stream's newest event: {min(self.keys)}"
        )


class VersionNotFound(EventStoreError):
    """The streams in `newest` end before the version asked for; it maps each to the version it has."""

    def __init__(self, newest: Mapping[StreamKey, int]) -> None:
        self.newest = dict(newest)
        key, version = min(self.newest.items())
        super().__init__(f"{key} is at version {version}, before the version asked for")


class BrokenStream(EventStoreError):
    """A stream's events, or a snapshot's state, don't carry the versions they must."""


class NewerSchema(EventStoreError):
    """An event has a type or a schema version that this build doesn't know: deploy the newer build."""


class UpcasterGap(EventStoreError):
    """The upcasters don't lead from each older schema version to the newest one step by step."""


class MigrationRefused(EventStoreError):
    """A migration that was applied has been edited since, or is unknown to this build."""
