"""Which faults are an order's own, and how they are told."""

from uuid import UUID

import asyncpg
import pytest
from pydantic import ValidationError

from eventstore import BrokenStream, NewerSchema, StreamKey, VersionNotFound
from messaging import Fenced, Undecodable, Unrecoverable
from orders import EVENT_TYPES, decode_event
from projector.faults import LONGEST_TEXT, is_orders_fault, tell
from readmodels import OrderKey

KEY: OrderKey = ("store-1", UUID(int=1))


@pytest.mark.parametrize(
    "error",
    [
        ValueError("no JSON"),
        LookupError("no such line"),
        ArithmeticError("too large"),
        RecursionError("too deep"),
        Undecodable("no event"),
        BrokenStream("a gap"),
        asyncpg.NumericValueOutOfRangeError("numeric field overflow"),
        asyncpg.CheckViolationError("violates"),
        asyncpg.NotNullViolationError("null"),
        asyncpg.ProgramLimitExceededError("too large"),
        asyncpg.exceptions.DataError("invalid input for query argument"),
    ],
)
def test_what_an_orders_content_fails_with_parks_it(error: Exception) -> None:
    """Faults of decoding, lifting, folding and of the row's content are the order's own."""
    assert is_orders_fault(error)


@pytest.mark.parametrize(
    "error",
    [
        asyncpg.DeadlockDetectedError("deadlock"),
        asyncpg.ConnectionDoesNotExistError("gone"),
        asyncpg.DiskFullError("full"),
        asyncpg.QueryCanceledError("timeout"),
        asyncpg.InterfaceError("closed"),
        OSError("refused"),
        TimeoutError("slow"),
        asyncpg.InsufficientPrivilegeError("no grant"),
        asyncpg.UndefinedTableError("no table"),
        asyncpg.UniqueViolationError("twice"),
        Fenced(),
        Unrecoverable("stop"),
        NewerSchema("newer"),
        VersionNotFound({StreamKey(*KEY): 3}),
        MemoryError(),
        KeyboardInterrupt(),
    ],
)
def test_what_fails_elsewhere_parks_nothing(error: BaseException) -> None:
    """Passing faults, the installation's, another owner's and another build's are no order's."""
    assert not is_orders_fault(error)


def test_an_error_is_told_without_what_was_wrong() -> None:
    """What a person typed may be anybody's secret: the reason names the field, not its value."""
    assert "ItemAdded" in EVENT_TYPES
    with pytest.raises(ValidationError) as caught:
        decode_event("ItemAdded", {"name": {"card": "4711"}}, occurred_at=None)
    told = tell(caught.value)
    assert "name: " in told
    assert "4711" not in told


def test_an_error_is_told_in_one_line_that_the_database_takes() -> None:
    """NUL, line ends and lone surrogates go, and a long text is cut."""
    told = tell(ValueError("a\0b\nc\ud800" + "x" * 1000))
    assert told.isprintable()
    assert told.startswith("ValueError: a b c ")
    assert len(told) == LONGEST_TEXT
