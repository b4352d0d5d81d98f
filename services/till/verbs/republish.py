"""`till republish`: fills a lost or emptied topic of events from the log."""

from typing import Annotated

import typer

from commands import ORDERS
from operations.recover import Republishing, Work
from operations.recover import republish as fill_topic
from till.connecting import admin_connection, kafka_of, operator_name, run_over
from till.output import Output, OutputOption, answers, notices, print_json
from till.settings import till_settings


def republish(
    *,
    execute: Annotated[bool, typer.Option("--execute", help="Do it, and not only tell.")] = False,
    output: OutputOption = Output.table,
) -> None:
    """Fill an empty topic of events from the log, as it was. Stop relay and command services first."""
    kafka, topics = kafka_of(till_settings())
    with notices.status("Looking at the topic") as status:
        found = run_over(
            admin_connection,
            lambda conn: fill_topic(
                Work(conn, kafka, ORDERS, topics, status.update), operator_name(), carry_out=execute
            ),
        )
    if output is Output.json:
        print_json(found._asdict())
        return
    for line in _lines(found):
        answers.print(line, soft_wrap=True, highlight=False, markup=False)


def _lines(found: Republishing) -> list[str]:
    if found.finished:
        return [f"{found.topic} was filled before, with {found.done:,} events: nothing to do."]
    if not found.executed:
        begun = f", of which {found.done:,} are put out" if found.begun else ""
        return [
            f"{found.topic} would be filled with {found.events:,} events{begun}.",
            "Nothing was changed: `till republish --execute` does it.",
        ]
    return [
        f"{found.done:,} events are in the outbox or on {found.topic}.",
        "Start the relay, then the others.",
        "The topic is another one to the read models: rebuild each with `till rebuild`.",
    ]
