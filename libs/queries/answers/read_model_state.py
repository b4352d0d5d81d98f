"""Read models and commands in answers."""

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, Field

from readmodels.read_model_status import BuildProgress


class Build(BaseModel):
    """A new generation that is made beside the live one.

    How far it is comes as a percentage: the orders that it counts are those of all tenants.
    """

    kind: str = Field(examples=["rebuild"])
    state: str = Field(examples=["scanning"])
    percent_done: int | None = Field(description="Null until it is known.", examples=[40])


class ReadModelState(BaseModel):
    """How one read model stands."""

    name: str = Field(examples=["order_summary"])
    generation: int | None = Field(description="The live one; null before the projector's first start.")
    records_behind: int | None = Field(
        description="Events on the topic that it has not applied; null while Kafka doesn't tell."
    )
    replaying: bool = Field(description="Whether it makes up for a rewind of its offsets.")
    events_to_replay: int
    paused_by: list[str]
    parked_orders: int = Field(description="Orders of this tenant that wait for a retry.")
    build: Build | None


def build_of(build: BuildProgress) -> dict[str, Any]:
    """Return the fields of a `Build`."""
    total = build.orders_total
    return {
        "kind": build.kind,
        "state": build.state,
        # An estimate: there may turn out to be more.
        "percent_done": None if total is None else min(100, 100 * build.orders_done // max(1, total)),
    }


class ReadModels(BaseModel):
    """Every read model."""

    read_models: list[ReadModelState]


class CommandOutcome(BaseModel):
    """What became of a command; it stays so for ever."""

    command_id: UUID
    status: Literal["accepted", "rejected"]
    type: str = Field(examples=["AddItem"])
    order_id: UUID | None
    actor: str = Field(examples=["anna"])
    occurred_at: datetime | None
    recorded_at: datetime
    version: int | None = Field(None, description="Of an accepted command: the order's version after it.")
    event_ids: list[UUID] | None = Field(None, description="Of an accepted command: its events.")
    code: str | None = Field(None, description="Of a rejected command: why; see docs/rejections.md.")
    message: str | None = Field(None, description="Of a rejected command: why, for people.")
    clock_ahead: int | None = Field(
        None,
        description="By how many seconds the terminal's clock was ahead of ours, where that is more than the "
        "tenant's limit.",
    )


def outcome_of(row: Any, told: dict[str, Any], clock_ahead: int | None) -> dict[str, Any]:  # noqa: ANN401 - a row of asyncpg
    """Return the fields of a `CommandOutcome` from a row of command_outcomes and its message."""
    return {
        "command_id": row["command_id"],
        "status": "accepted" if row["code"] is None else "rejected",
        "type": row["command_type"],
        "order_id": row["aggregate_id"],
        "actor": row["actor"],
        "occurred_at": row["occurred_at"],
        "recorded_at": row["recorded_at"],
        "version": row["version"],
        "event_ids": told.get("event_ids"),
        "code": row["code"],
        "message": told.get("message"),
        "clock_ahead": clock_ahead,
    }
