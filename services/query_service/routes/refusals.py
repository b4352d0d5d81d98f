"""Refusals that several routes have in common."""

from __future__ import annotations

from queries import BadCursor
from query_service.database import RETRY_AFTER
from query_service.problems import Problem


def no_such_order() -> Problem:
    """Return the one answer about an order that the tenant lacks, whether or not another one has it."""
    return Problem.of("not-found", "There is no such order.")


def not_there_yet(detail: str) -> Problem:
    """Return the answer of a read model that lags behind."""
    return Problem.of("not-there-yet", detail, headers=RETRY_AFTER)


def bad_cursor(error: BadCursor) -> Problem:
    """Return the answer to a cursor that is none of this question's."""
    return Problem.of_fields([("query.cursor", str(error))])
