"""The conditions of a question, put together from fixed texts; every value is a parameter."""

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


class Conditions:
    """What rows must have: only what is asked for stands in the statement, so that each has its own plan."""

    def __init__(self) -> None:
        self.values: list[object] = []
        self._texts: list[str] = []

    def parameter(self, value: object) -> str:
        """Take a value in, and return what stands for it."""
        self.values.append(value)
        return f"${len(self.values)}"

    def add(self, text: str, *values: object) -> None:
        """Add a condition; its text, which never comes from outside, has `{}` for each value."""
        self._texts.append(text.format(*map(self.parameter, values)))

    def add_given(self, text: str, value: object) -> None:
        """Add a condition unless its value is None: anything goes then."""
        if value is not None:
            self.add(text, value)

    def __str__(self) -> str:
        return " AND ".join(self._texts) or "true"
