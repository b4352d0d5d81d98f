"""What is told where a read model cannot answer: it is not made yet, or is of an earlier version."""

from collections.abc import Iterator
from contextlib import contextmanager

import asyncpg

from queries import EarlierVersion
from till.errors import TillError


@contextmanager
def read_models_may_be_missing(message: str, advice: str) -> Iterator[None]:
    """Turn the fault of a question of read models into a TillError.

    `message` and `advice` are told where the tables are not made yet. Where they are of an earlier version
    than the question needs, after a rollback for one, that is said instead.
    """
    try:
        yield
    except EarlierVersion as error:
        raise TillError(str(error), "`till lag` says how far one that has begun is.") from None
    except (asyncpg.UndefinedTableError, asyncpg.UndefinedColumnError):
        raise TillError(message, advice) from None
