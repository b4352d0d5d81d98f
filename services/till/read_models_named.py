"""How a verb takes the name of a read model."""

from typing import Annotated

import typer

from readmodels import READ_MODELS


def known_read_model(name: str | None) -> str | None:
    """Refuse a name that no read model has; none at all is left to the verb."""
    if name is not None and name not in READ_MODELS:
        raise typer.BadParameter(f"there is no read model {name}; there are {', '.join(sorted(READ_MODELS))}")
    return name


ReadModelArgument = Annotated[
    str, typer.Argument(help=f"One of {', '.join(sorted(READ_MODELS))}.", callback=known_read_model)
]
