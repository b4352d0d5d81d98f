"""Proves that the log is whole and that what was made of it, read models and topic, says the same."""

from till.verifying.checking import verify_read_models
from till.verifying.findings import CouldNotCheck, Difference, Field, Findings, Tally
from till.verifying.topic import verify_topic

__all__ = [
    "CouldNotCheck",
    "Difference",
    "Field",
    "Findings",
    "Tally",
    "verify_read_models",
    "verify_topic",
]
