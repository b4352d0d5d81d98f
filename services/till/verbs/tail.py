"""`till tail`: events as they happen."""

from contextlib import suppress
from typing import Annotated, Any
from uuid import UUID

import typer
from rich.text import Text

from messaging import BadVector, event_json
from orders import EVENT_TYPES
from queries import BEGINNING, EventFilter, Start, parse_start
from runtime.printable import printable
from till.connecting import run
from till.errors import TillError
from till.following import follow, told
from till.output import Output, OutputOption, answers, notices, print_json_line
from till.settings import till_settings

# Column → its width; what is longer pushes the rest of its line.
_COLUMNS = {"recorded_at": 20, "tenant_id": 10, "order_id": 36, "version": 7, "event": 19, "actor": 10}

FromOption = Annotated[
    str | None,
    typer.Option(
        "--from",
        metavar="PLACE",
        help=f"{BEGINNING}, or a place that an earlier run or the HTTP API has told. Without it: now.",
    ),
]


def tail(
    *,
    kind: Annotated[
        list[str] | None, typer.Option(help="Of this type, such as OrderVoided; may be given several times.")
    ] = None,
    order: Annotated[str | None, typer.Option(metavar="ORDER", help="On this order only, a UUID.")] = None,
    actor: Annotated[str | None, typer.Option(help="Done by this actor.")] = None,
    tenant: Annotated[str | None, typer.Option(help="Of this tenant only.")] = None,
    start: FromOption = None,
    output: OutputOption = Output.table,
) -> None:
    """Follow events from the topic as they happen, until Ctrl-C; as JSON, one CloudEvent a line."""
    if unknown := [name for name in kind or [] if name not in EVENT_TYPES]:
        raise TillError(f"{unknown[0]!r} is no type of event.", f"There are {', '.join(EVENT_TYPES)}.")
    wanted = EventFilter(tenant, frozenset(kind or ()), None if order is None else _order_id(order), actor)
    reached: list[str] = []
    with suppress(KeyboardInterrupt):
        run(_tail(wanted, _place(start), output, reached))
    if reached:
        notices.print(f"Go on from here with --from {reached[-1]}", highlight=False, soft_wrap=True)


async def _tail(wanted: EventFilter, start: Start, output: Output, reached: list[str]) -> None:
    if output is Output.table:
        header = " ".join(f"{name.replace('_', ' '):{width}}" for name, width in _COLUMNS.items())
        answers.print(Text(f"{header} what", style="bold"), soft_wrap=True)
    async for place, record, message in follow(till_settings(), wanted, start):
        if record is not None and message is not None:
            if output is Output.json:
                print_json_line(event_json(record))
            else:
                answers.print(Text(_line(told(message))), soft_wrap=True)
        reached[:] = [place]


def _line(row: dict[str, Any]) -> str:
    cells = {**row, "recorded_at": f"{row['recorded_at']:%Y-%m-%d %H:%M:%SZ}"}
    fields = " ".join(f"{printable(str(cells[name])):{width}}" for name, width in _COLUMNS.items())
    return f"{fields} {printable(row['what'])}"


def _place(text: str | None) -> Start:
    try:
        return parse_start(text)
    except BadVector as error:
        raise TillError(
            f"{text!r} {error}.", f"Use {BEGINNING}, or what an earlier run has told at its end."
        ) from None


def _order_id(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise TillError(
            f"{text!r} is no order id.", "An order id is a UUID; `till audit` shows some."
        ) from None
