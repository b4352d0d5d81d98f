"""Proves that the log is whole and that what was made of it, read models and topic, says the same."""

from __future__ import annotations

from operations.verify.checking import verify_read_models
from operations.verify.findings import CouldNotCheck, Difference, Field, Findings, Tally
from operations.verify.topic import verify_topic

__all__ = [
    "CouldNotCheck",
    "Difference",
    "Field",
    "Findings",
    "Tally",
    "verify_read_models",
    "verify_topic",
]
