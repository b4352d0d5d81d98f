"""What nobody but a person can settle."""

from __future__ import annotations

from collections.abc import Sequence

from operations.errors import OperationRefused

_TOLD = 5


class Contradiction(OperationRefused):
    """The topics and the database tell different stories; nothing that contradicts was written."""

    def __init__(self, contradictions: Sequence[str]) -> None:
        told = "; ".join(contradictions[:_TOLD])
        more = len(contradictions) - _TOLD
        super().__init__(
            f"Topics and database contradict each other: {told}{f'; and {more} more' if more > 0 else ''}.",
            "Something was written after the database was restored. docs/recovery.md says how to choose.",
        )
