"""How a verb takes the name of a read model, and what is told where one cannot answer."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import asyncpg
import typer

from queries import EarlierVersion
from readmodels import READ_MODELS
from till.errors import TillError


def known_read_model(name: str | None) -> str | None:
    """Refuse a name that no read model has; none at all is left to the verb."""
    if name is not None and name not in READ_MODELS:
        raise typer.BadParameter(f"there is no read model {name}; there are {', '.join(sorted(READ_MODELS))}")
    return name


ReadModelArgument = Annotated[
    str, typer.Argument(help=f"One of {', '.join(sorted(READ_MODELS))}.", callback=known_read_model)
]


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
