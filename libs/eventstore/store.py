"""The event store of one kind of aggregate."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from itertools import groupby
from typing import Any, Generic, Literal, TypeVar
from uuid import UUID

from asyncpg import Record

from eventstore import appending, loading
from eventstore.aggregate import AggregateType
from eventstore.connection import Connection
from eventstore.errors import BrokenStream, VersionNotFound
from eventstore.records import Batch, Loaded, Snapshot, StoredEvent, StoredOutcome, StreamKey
from eventstore.tables import Tables
from eventstore.upcasting import UpcasterChain

S = TypeVar("S")


class EventStore(Generic[S]):
    """Appends and loads the streams of one aggregate type.

    It keeps no connection and no state: each call takes the connection it works on. Loads may raise
    `NewerSchema`, for an event that a newer build wrote, and `BrokenStream`.
    """

    def __init__(self, aggregate_type: AggregateType[S], *, snapshot_every: int = 100) -> None:
        """Check the upcasters. Raises `UpcasterGap` when they don't lead from version 1 to the newest.

        Raises `ValueError` for a type whose name can't name tables.
        """
        self._type = aggregate_type
        self.tables = Tables(aggregate_type.name)
        self._chain = UpcasterChain(aggregate_type.schema_versions, aggregate_type.upcasters)
        self._snapshot_every = snapshot_every

    @property
    def schema_versions(self) -> Mapping[str, int]:
        """The newest schema version of each event type."""
        return self._type.schema_versions

    async def load(self, conn: Connection, key: StreamKey) -> Loaded[S]:
        """Give a stream's newest state; the initial state, at version 0, of a stream without events."""
        return (await self.load_many(conn, [key]))[key]

    async def load_many(self, conn: Connection, keys: Iterable[StreamKey]) -> dict[StreamKey, Loaded[S]]:
        """Give the newest state of each stream, all as of one moment."""
        return await self._load_up_to(conn, dict.fromkeys(keys, loading.NEWEST))

    async def load_at_version(self, conn: Connection, key: StreamKey, version: int) -> Loaded[S]:
        """Give the state a stream had at a version, from 0. Raises `VersionNotFound` past its newest."""
        return (await self.load_many_at(conn, {key: version}))[key]

    async def load_many_at(
        self, conn: Connection, versions: Mapping[StreamKey, int]
    ) -> dict[StreamKey, Loaded[S]]:
        """Give the state each stream had at a version, from 0. Raises `VersionNotFound`."""
        if any(version < 0 for version in versions.values()):
            raise ValueError("versions count from 0, the initial state")
        loaded = await self._load_up_to(conn, versions)
        if short := {key: loaded[key].version for key in versions if loaded[key].version < versions[key]}:
            raise VersionNotFound(short)
        return loaded

    async def load_as_of(
        self,
        conn: Connection,
        key: StreamKey,
        time: datetime,
        clock: Literal["recorded", "occurred"] = "recorded",
    ) -> Loaded[S]:
        """Give the state as of a time: the fold of the longest prefix whose every event is not later.

        The clock says which of an event's two times counts: when it was recorded or when it occurred. By the
        clock of the terminals (`occurred`) a late event also holds back the ones after it: they build on it.
        """
        if time.tzinfo is None:
            raise ValueError("the time needs a time zone")
        rows = await conn.fetch(
            self.tables.sql(loading.LOAD_AS_OF), *key, time, clock == "occurred", self._type.state_version
        )
        return self._fold(key, rows)

    async def history(
        self, conn: Connection, key: StreamKey, after_version: int = 0, limit: int | None = None
    ) -> list[StoredEvent]:
        """Give a stream's events after a version, oldest first, at most `limit` of them."""
        rows = await loading.select_histories(conn, self.tables, {key: (after_version, None)}, limit)
        return [self._stored(key, row) for row in rows]

    async def histories(
        self, conn: Connection, ranges: Mapping[StreamKey, tuple[int, int | None]]
    ) -> dict[StreamKey, list[StoredEvent]]:
        """Give each stream's events after a version and up to another (None: all), as of one moment."""
        keys = list(ranges)
        events: dict[StreamKey, list[StoredEvent]] = {key: [] for key in keys}
        for row in await loading.select_histories(conn, self.tables, ranges, None):
            key = keys[row["ordinal"] - 1]
            events[key].append(self._stored(key, row))
        return events

    async def streams(
        self, conn: Connection, after: StreamKey | None, limit: int
    ) -> list[tuple[StreamKey, int]]:
        """Give the next `limit` streams after a key (None: from the first), ascending, with their versions.

        A key's tenants are compared by code point. Page by page that is all streams, but of no one moment.
        """
        rows = await conn.fetch(self.tables.sql(loading.PAGE), *(after or loading.BEFORE_ALL), limit)
        return [(StreamKey(*key), version) for *key, version in rows]

    async def find_event_ids(
        self, conn: Connection, places: Sequence[tuple[StreamKey, int]]
    ) -> dict[tuple[StreamKey, int], UUID]:
        """Give the id of the event at each stream and version; a place without an event is absent."""
        keys = loading.key_columns(key for key, _ in places)
        rows = await conn.fetch(self.tables.sql(loading.FIND), *keys, [version for _, version in places])
        return {(StreamKey(*key), version): found for *key, version, found in rows}

    async def newest_versions(self, conn: Connection, keys: Sequence[StreamKey]) -> dict[StreamKey, int]:
        """Give each stream's newest version; a stream without events is absent."""
        rows = await conn.fetch(self.tables.sql(loading.NEWEST_VERSIONS), *loading.key_columns(keys))
        return {StreamKey(*key): version for *key, version in rows}

    async def find_outcomes(
        self, conn: Connection, ids: Sequence[tuple[str, UUID]]
    ) -> tuple[datetime, dict[tuple[str, UUID], StoredOutcome]]:
        """Give the database's clock and the stored outcomes of the commands (tenant id, command id).

        All aggregate types share the ids: what another one was commanded is found too, without a fingerprint.
        """
        return await loading.find_outcomes(conn, self.tables, ids)

    async def append(self, conn: Connection, batch: Batch) -> None:
        """Store a batch, all of it in one transaction, or nothing.

        Raises `VersionConflict` unless each stream is at the version its events or its outcome were decided
        on, `OutcomeConflict` when a command has an outcome already; the caller then loads and decides again.
        Within a transaction of the caller's it is part of that: either may then name the whole batch, and
        leaves the transaction to be rolled back. Raises `ClockWentBack` for a `recorded_at`
        before the stream's newest, `ValueError` for a stream or a command named twice.
        """
        await appending.append(conn, self.tables, batch)

    def snapshot_due(self, before_version: int, after_version: int) -> bool:
        """Tell whether an append that took a stream from one version to another calls for a snapshot."""
        return before_version // self._snapshot_every < after_version // self._snapshot_every

    def snapshot(self, key: StreamKey, loaded: Loaded[S]) -> Snapshot:
        """Give the snapshot of a stream with events, for the batch that stores the last of them.

        Raises `ValueError` for the initial state, which needs none.
        """
        if loaded.recorded_at is None or loaded.max_occurred_at is None:
            raise ValueError("a stream without events has nothing to take a snapshot of")
        return Snapshot(
            key,
            loaded.version,
            self._type.state_version,
            self._type.dump_state(loaded.state),
            loaded.recorded_at,
            loaded.max_occurred_at,
        )

    def upcast(
        self,
        event_type: str,
        schema_version: int,
        payload: dict[str, Any],
        version: int,
        occurred_at: datetime,
    ) -> dict[str, Any]:
        """Lift a payload to its type's newest schema version, as every read does. Raises `NewerSchema`."""
        return self._chain.upcast(event_type, schema_version, payload, version, occurred_at)

    async def _load_up_to(
        self, conn: Connection, versions: Mapping[StreamKey, int]
    ) -> dict[StreamKey, Loaded[S]]:
        keys, up_to = loading.key_columns(versions), list(versions.values())
        rows = await conn.fetch(self.tables.sql(loading.LOAD), *keys, up_to, self._type.state_version)
        streams = {ordinal: list(stream) for ordinal, stream in groupby(rows, key=lambda row: row["ordinal"])}
        return {key: self._fold(key, streams.get(n, [])) for n, key in enumerate(versions, start=1)}

    def _fold(self, key: StreamKey, rows: Sequence[Record]) -> Loaded[S]:
        state = self._type.initial_state(*key)
        version = 0
        last_recorded_at = max_occurred_at = None
        for _, at, event_type, schema_version, payload, metadata, occurred_at, recorded_at in rows:
            if event_type is None:
                state = self._type.load_state(payload)
                if self._type.version(state) != at:
                    raise BrokenStream(f"the snapshot of {key} at version {at} holds another version's state")
            elif at != version + 1:
                raise BrokenStream(f"version {at} follows version {version} in {key}")
            else:
                lifted = self._chain.upcast(
                    event_type, schema_version, loading.parse_json(payload), at, occurred_at
                )
                state = self._type.evolve_stored(
                    state, event_type, lifted, loading.parse_json(metadata), occurred_at
                )
            version = at
            last_recorded_at = recorded_at
            max_occurred_at = occurred_at if max_occurred_at is None else max(max_occurred_at, occurred_at)
        return Loaded(state, version, last_recorded_at, max_occurred_at)

    def _stored(self, key: StreamKey, row: Record) -> StoredEvent:
        (
            _,
            position,
            event_id,
            version,
            event_type,
            schema_version,
            payload,
            metadata,
            occurred_at,
            recorded_at,
        ) = row
        return StoredEvent(
            position=position,
            event_id=event_id,
            tenant_id=key.tenant_id,
            aggregate_id=key.aggregate_id,
            version=version,
            event_type=event_type,
            schema_version=self._chain.newest(event_type),
            payload=self._chain.upcast(
                event_type, schema_version, loading.parse_json(payload), version, occurred_at
            ),
            metadata=loading.parse_json(metadata),
            occurred_at=occurred_at,
            recorded_at=recorded_at,
        )
