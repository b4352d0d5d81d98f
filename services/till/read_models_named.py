"""How a verb takes the name of a read model."""

from __future__ import annotations

from typing import Annotated

import typer

from readmodels import READ_MODELS


def _known(name: str) -> str:
    if name not in READ_MODELS:
        raise typer.BadParameter(f"there is no read model {name}; there are {', '.join(sorted(READ_MODELS))}")
    return name


ReadModelArgument = Annotated[
    str, typer.Argument(help=f"One of {', '.join(sorted(READ_MODELS))}.", callback=_known)
]
