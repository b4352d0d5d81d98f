"""Read models and commands in answers."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal, NamedTuple
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


class AskedFor(NamedTuple):
    """A command as it is told of beside its outcome."""

    command_id: UUID
    command_type: str
    order_id: UUID | None
    actor: str
    occurred_at: datetime | None


def outcome_of(
    asked: AskedFor, told: Mapping[str, Any], decided_at: datetime, clock_ahead: int | None
) -> dict[str, Any]:
    """Return the fields of a `CommandOutcome` from a command and what the message says that answers it."""
    return {
        "command_id": asked.command_id,
        "status": "rejected" if "code" in told else "accepted",
        "type": asked.command_type,
        "order_id": asked.order_id,
        "actor": asked.actor,
        "occurred_at": asked.occurred_at,
        "recorded_at": decided_at,
        "version": told.get("version"),
        "event_ids": told.get("event_ids"),
        "code": told.get("code"),
        "message": told.get("message"),
        "clock_ahead": clock_ahead,
    }
