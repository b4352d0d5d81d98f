"""`till recover`: takes back from the topics what a restored database lacks."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Annotated, Any

import asyncpg
import typer
from aiokafka.errors import KafkaError

from messaging import KafkaConnection, Topics
from operations import recorded
from operations.groups import wait_until_left
from operations.recover import Contradiction, Survey, Work, survey
from operations.recover import execute as carry_out
from till.connecting import admin_connection, operator_name, run
from till.errors import NotUpError, TillError
from till.output import Output, OutputOption, answers, notices, print_json
from till.settings import till_settings

# Two recoveries at a time would each take what the other writes for a contradiction.
_LOCK = 0x7469_6C6C_7265_636F  # "tillreco"
_LACKING = ("events", "outcomes", "to_answer", "commands_again", "contradictions")


def recover(
    *,
    execute: Annotated[bool, typer.Option("--execute", help="Do it, and not only tell.")] = False,
    output: OutputOption = Output.table,
) -> None:
    """Take events and outcomes that a restored database lacks back from Kafka. Stop all services first."""
    with notices.status("Comparing the topics with the database") as status:
        answer = run(_recover(execute=execute, tell=status.update))
    if output is Output.json:
        print_json(answer)
        return
    for line in _lines(answer):
        answers.print(line, soft_wrap=True, highlight=False, markup=False)


async def _recover(*, execute: bool, tell: Callable[[str], None]) -> dict[str, Any]:
    where = till_settings()
    kafka, topics = KafkaConnection.of(where), Topics(where.topic_prefix)
    try:
        async with admin_connection(where) as conn, _alone(conn):
            group = topics.group("command_service")
            # One that was killed counts as a member for its session's ten seconds.
            if execute and not await wait_until_left(kafka, group):
                raise TillError(
                    f"Command services run, in the group {group}.",
                    "Stop all services first, and start them when the recovery is done.",
                )
            work = Work(conn, kafka, topics, tell)
            found = await survey(work)
            answer = {**_told(found), "topic": topics.commands, "executed": False}
            if not execute or found.is_level:
                return answer
            async with recorded(conn, operator_name(), "recover", answer) as action:
                if found.contradictions:
                    raise Contradiction(found.contradictions)
                again = await carry_out(work, found, where.tenant_time_zones)
                action.details["handled_again_from"] = again
            return {**answer, "executed": True, "handled_again_from": again}
    except (KafkaError, TimeoutError) as error:
        raise NotUpError(f"Kafka at {kafka.bootstrap_servers} does not answer: {error!r}.") from error


@asynccontextmanager
async def _alone(conn: asyncpg.Connection) -> AsyncIterator[None]:
    if not await conn.fetchval("SELECT pg_try_advisory_lock($1)", _LOCK):
        raise TillError("Another `till recover` is under way.", "Wait for it, or stop it.")
    try:
        yield
    finally:
        await conn.execute("SELECT pg_advisory_unlock($1)", _LOCK)


def _told(found: Survey) -> dict[str, Any]:
    return {
        "events": found.events,
        "outcomes": found.outcomes,
        "to_answer": found.to_answer,
        "commands_again": found.commands_again,
        "handled_again_from": found.again,
        "contradictions": found.contradictions,
    }


def _lines(answer: dict[str, Any]) -> list[str]:
    if not any(
        answer[name] for name in ("events", "outcomes", "to_answer", "commands_again", "contradictions")
    ):
        return ["The database lacks nothing that the topics hold."]
    done = answer["executed"]
    again = sorted(answer["handled_again_from"].items())
    places = ", ".join(f"{answer['topic']}/{number}/{offset}" for number, offset in again)
    lines = [
        f"Events {'taken back' if done else 'that the database lacks'}: {answer['events']:,}",
        f"Outcomes {'taken back' if done else 'that it lacks'}: {answer['outcomes']:,}",
        f"Outcomes {'made' if done else 'to make'} of events alone: {answer['to_answer']:,}",
        f"Commands to handle again: {answer['commands_again']:,}, from {places or 'nowhere'}",
    ]
    lines += [f"Contradiction: {each}" for each in answer["contradictions"]]
    if done:
        lines.append("Start the services; `till verify --topic` proves the result.")
    else:
        lines.append("Nothing was changed: `till recover --execute` does it.")
    return lines
