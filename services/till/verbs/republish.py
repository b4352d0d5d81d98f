"""`till republish`: fills a lost or emptied topic of events from the log."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import typer
from aiokafka.errors import KafkaError, UnknownTopicOrPartitionError

from messaging import KafkaConnection, Topics
from operations import recorded
from operations.recover import Work, check_nobody_appends, forecast
from operations.recover import republish as put_out
from till.connecting import admin_connection, operator_name, run
from till.errors import NotUpError, TillError
from till.output import Output, OutputOption, answers, notices, print_json
from till.settings import till_settings


def republish(
    *,
    execute: Annotated[bool, typer.Option("--execute", help="Do it, and not only tell.")] = False,
    output: OutputOption = Output.table,
) -> None:
    """Fill an empty topic of events from the log, as it was. Stop relay and command services first."""
    with notices.status("Looking at the topic") as status:
        answer = run(_republish(execute=execute, tell=status.update))
    if output is Output.json:
        print_json(answer)
        return
    for line in _lines(answer):
        answers.print(line, soft_wrap=True, highlight=False, markup=False)


async def _republish(*, execute: bool, tell: Callable[[str], None]) -> dict[str, Any]:
    where = till_settings()
    kafka, topics = KafkaConnection.of(where), Topics(where.topic_prefix)
    try:
        async with admin_connection(where) as conn:
            work = Work(conn, kafka, topics, tell)
            plan = await forecast(work)
            answer = {**plan._asdict(), "topic": topics.events, "executed": False}
            if not execute or plan.finished:
                return answer
            await check_nobody_appends(work)
            async with recorded(conn, operator_name(), "republish", {"topic_id": plan.topic_id}) as action:
                done = await put_out(work, plan, action.id)
                action.details["events"] = done
            return {**answer, "done": done, "executed": True}
    except UnknownTopicOrPartitionError as error:
        raise TillError(f"Kafka has no topic {topics.events}.", "`till migrate` makes it, empty.") from error
    except (KafkaError, TimeoutError) as error:
        raise NotUpError(f"Kafka at {kafka.bootstrap_servers} does not answer: {error!r}.") from error


def _lines(answer: dict[str, Any]) -> list[str]:
    if answer["finished"]:
        return [f"{answer['topic']} was filled before, with {answer['done']:,} events: nothing to do."]
    if not answer["executed"]:
        begun = f", of which {answer['done']:,} are put out" if answer["begun"] else ""
        return [
            f"{answer['topic']} would be filled with {answer['events']:,} events{begun}.",
            "Nothing was changed: `till republish --execute` does it.",
        ]
    return [
        f"{answer['done']:,} events are in the outbox or on {answer['topic']}.",
        "Start the relay, then the others.",
        "The topic is another one to the read models: rebuild each with `till rebuild`.",
    ]
