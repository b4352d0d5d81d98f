"""Proves that the log is whole and that what was made of it, read models and topic, says the same."""

from operations.verify.findings import Field, Findings, Mismatch, Tally
from operations.verify.verification import verify

__all__ = ["Field", "Findings", "Mismatch", "Tally", "verify"]
