"""`till recover`: takes back from the topics what a restored database lacks."""

from typing import Annotated

import typer

from commands import ORDERS
from operations.recover import Recovery, Work
from operations.recover import recover as take_back
from till.connecting import admin_connection, kafka_of, operator_name, run_over
from till.output import Output, OutputOption, answers, notices, print_json
from till.settings import till_settings


def recover(
    *,
    execute: Annotated[bool, typer.Option("--execute", help="Do it, and not only tell.")] = False,
    output: OutputOption = Output.table,
) -> None:
    """Take events and outcomes that a restored database lacks back from Kafka. Stop all services first."""
    where = till_settings()
    kafka, topics = kafka_of(where)
    with notices.status("Comparing the topics with the database") as status:
        found = run_over(
            admin_connection,
            lambda conn: take_back(
                Work(conn, kafka, ORDERS, topics, status.update),
                operator_name(),
                where.tenant_time_zones,
                carry_out=execute,
            ),
        )
    if output is Output.json:
        print_json(found._asdict())
        return
    for line in _lines(found):
        answers.print(line, soft_wrap=True, highlight=False, markup=False)


def _lines(found: Recovery) -> list[str]:
    if not found.lacks:
        return ["The database lacks nothing that the topics hold."]
    done = found.executed
    again = sorted(found.handled_again_from.items())
    places = ", ".join(f"{found.topic}/{number}/{offset}" for number, offset in again)
    return [
        f"Events {'taken back' if done else 'that the database lacks'}: {found.events:,}",
        f"Outcomes {'taken back' if done else 'that it lacks'}: {found.outcomes:,}",
        f"Outcomes {'made' if done else 'to make'} of events alone: {found.to_answer:,}",
        f"Commands to handle again: {found.commands_again:,}, from {places or 'nowhere'}",
        *(f"Contradiction: {each}" for each in found.contradictions),
        "Start the services; `till verify --topic` proves the result."
        if done
        else "Nothing was changed: `till recover --execute` does it.",
    ]
