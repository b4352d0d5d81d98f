"""The two times of an event, and what had happened by a moment of one of them."""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class Clock(StrEnum):
    """By which of an event's two times it had happened: when it was recorded, or when it occurred.

    By the terminals' clocks (`occurred`) a late event also holds back the later ones of its order, as in
    `EventStore.load_as_of`.
    """

    recorded = "recorded"
    occurred = "occurred"


BY_CLOCK: Final = {Clock.recorded: "recorded_at <= {}", Clock.occurred: "occurred_by <= {}"}
"""What the rows of a read model with a row a change had to fulfil."""
