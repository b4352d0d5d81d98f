"""Rebuilding a read model: what stands in its way, how far it is, and what came of it."""

from till.rebuilding.following import follow, wait_until_dropped
from till.rebuilding.outcome import comparison_counts, print_build
from till.rebuilding.requests import ask_for_rebuild, ask_for_rollback, under_way

__all__ = [
    "ask_for_rebuild",
    "ask_for_rollback",
    "comparison_counts",
    "follow",
    "print_build",
    "under_way",
    "wait_until_dropped",
]
