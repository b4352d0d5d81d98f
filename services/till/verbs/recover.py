"""`till recover` and `till republish`: a restored database and a lost topic get back what they lack."""

from typing import Annotated

import typer

from commands import ORDERS
from operations.recover import Recovery, Republishing, Work
from operations.recover import recover as take_back
from operations.recover import republish as fill_topic
from till.connecting import admin_connection, kafka_of, operator_name, run_over
from till.output import Output, OutputOption, answers, print_json
from till.recovery_progress import steps_shown
from till.settings import till_settings

ExecuteOption = Annotated[bool, typer.Option("--execute", help="Do it, and not only tell.")]


def recover(*, execute: ExecuteOption = False, output: OutputOption = Output.table) -> None:
    """Take events and outcomes that a restored database lacks back from Kafka. Stop all services first."""
    where = till_settings()
    kafka, topics = kafka_of(where)
    with steps_shown() as show:
        found = run_over(
            admin_connection,
            lambda conn: take_back(
                Work(conn, kafka, ORDERS, topics, show),
                operator_name(),
                where.tenants,
                carry_out=execute,
            ),
        )
    _print(found, _recovered(found), output)


def republish(*, execute: ExecuteOption = False, output: OutputOption = Output.table) -> None:
    """Fill an empty topic of events from the log, as it was. Stop relay and command services first."""
    kafka, topics = kafka_of(till_settings())
    with steps_shown() as show:
        found = run_over(
            admin_connection,
            lambda conn: fill_topic(
                Work(conn, kafka, ORDERS, topics, show), operator_name(), carry_out=execute
            ),
        )
    _print(found, _republished(found), output)


def _print(found: Recovery | Republishing, lines: list[str], output: Output) -> None:
    if output is Output.json:
        print_json(found._asdict())
        return
    for line in lines:
        answers.print(line, soft_wrap=True, highlight=False, markup=False)


def _recovered(found: Recovery) -> list[str]:
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


def _republished(found: Republishing) -> list[str]:
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
