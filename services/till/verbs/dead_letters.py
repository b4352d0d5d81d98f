"""`till dead-letters`: look at records that name no command, send them again, or settle them with a note."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Annotated

import asyncpg
import typer
from aiokafka.errors import KafkaError, UnknownTopicOrPartitionError
from rich.text import Text

from messaging import KafkaConnection, TopicReader, Topics
from operations import recorded
from operations.dead_letters.letters import (
    DeadLetter,
    Decision,
    Resending,
    decide,
    find_letters,
    read_decisions,
    unreadable,
)
from operations.dead_letters.rows import letter_document, shown_bytes
from operations.dead_letters.search import Found, Wanted, list_letters
from runtime.printable import printable
from till.connecting import operator_connection, operator_name, query_connection, run
from till.errors import NotUpError, TillError
from till.output import Output, OutputOption, answers, notices, print_json, print_rows
from till.settings import TillSettings, till_settings
from till.times import parse_time

dead_letters = typer.Typer(
    name="dead-letters",
    help="Records that name no command: list and show them, send them again, or settle them.",
    no_args_is_help=True,
)

_COLUMNS = ("at", "id", "source", "reason", "what")
_TIME = "such as 2017-01-01T12:00:00Z; UTC unless it says."
IdArgument = Annotated[str, typer.Argument(metavar="ID", help="A dead letter's id.")]
IdsArgument = Annotated[list[str], typer.Argument(metavar="ID...", help="Dead letters' ids.")]


@dead_letters.command("list")
def list_(
    *,
    everything: Annotated[
        bool, typer.Option("--all", help="Those that something was decided about as well.")
    ] = False,
    reason: Annotated[str | None, typer.Option(help="With this text in the reason.")] = None,
    topic: Annotated[str | None, typer.Option(help="That came on this topic.")] = None,
    since: Annotated[str | None, typer.Option(help=f"Dead since a time {_TIME}")] = None,
    until: Annotated[str | None, typer.Option(help=f"Dead before a time {_TIME}")] = None,
    limit: Annotated[int, typer.Option(min=1, help="This many at most, the newest.")] = 50,
    output: OutputOption = Output.table,
) -> None:
    """List dead letters that nothing was decided about, newest first (UTC)."""
    wanted = Wanted(
        everything,
        reason,
        topic,
        None if since is None else parse_time(since),
        None if until is None else parse_time(until),
        limit,
    )
    found = run(_list(till_settings(), wanted))
    if output is Output.json:
        print_json(found.rows)
    else:
        shown = [
            {
                name: printable(value) if isinstance(value, str) else value
                for name, value in {
                    **row,
                    "source": f"{row['topic']}/{row['partition']}/{row['offset']}",
                    "what": " ".join(filter(None, (row["tenant_id"], row["command_type"], row["order_id"]))),
                }.items()
            }
            for row in found.rows
        ]
        columns = (*_COLUMNS, "decision") if everything else _COLUMNS
        print_rows(shown, columns, output, title="Dead letters" if everything else "Open dead letters")
    if found.there_is_more:
        notices.print(
            f"Only the newest {found.records:,} were looked through: --limit gives more, --until older ones.",
            highlight=False,
        )
    if found.foreign:
        notices.print(f"{found.foreign:,} records on the topic are no dead letters of ours.", highlight=False)


@dead_letters.command()
def show(letter_id: IdArgument, output: OutputOption = Output.table) -> None:
    """Show a dead letter as it was received, and what was decided about it."""
    letter, decisions = run(_show(till_settings(), letter_id))
    if output is Output.json:
        print_json(letter_document(letter, decisions))
        return
    answers.print(Text(f"Dead letter {letter.id}", style="bold"), soft_wrap=True)
    fields = {
        "source": f"{letter.topic}/{letter.partition}/{letter.offset}",
        "reason": letter.reason,
        "dead since": letter.at.strftime("%Y-%m-%d %H:%M:%SZ"),
        "tenant": letter.names.get("tenantid", ""),
        "order": letter.names.get("subject", ""),
        "command": " ".join(letter.names[name] for name in ("type", "id") if name in letter.names),
        "key": "none" if letter.key is None else printable(letter.key),
    }
    for name, value in fields.items():
        answers.print(Text(f"  {name:<12}{printable(value)}"), soft_wrap=True)
    headers = [{"header": printable(name), "value": shown_bytes(raw)} for name, raw in letter.headers]
    print_rows(headers, ("header", "value"), output, title="Headers")
    value = shown_bytes(letter.value)
    size = "none" if letter.value is None else f"{len(letter.value):,} bytes"
    answers.print(Text(f"Value ({size})", style="bold"), soft_wrap=True)
    answers.print(Text(value), soft_wrap=True)
    rows = [
        {**decision._asdict(), "actor": printable(decision.actor), "note": printable(decision.note)}
        for decision in decisions
    ]
    print_rows(rows, ("decided_at", "decision", "actor", "note"), output, title="Decisions")


@dead_letters.command()
def retry(
    letter_ids: IdsArgument,
    *,
    note: Annotated[str, typer.Option(help="Why, for the record.")] = "",
    again: Annotated[
        bool, typer.Option("--again", help="Those too that something was decided about.")
    ] = False,
    anyway: Annotated[
        bool,
        typer.Option(
            "--anyway", help="Those too that this build can't read: each becomes a dead letter once more."
        ),
    ] = False,
) -> None:
    """Send dead letters again, the same bytes to where they came from; a command's effects happen once."""
    run(_retry(till_settings(), letter_ids, note, again=again, anyway=anyway))


@dead_letters.command()
def resolve(
    letter_ids: IdsArgument, note: Annotated[str, typer.Option(help="What was done instead, or why nothing.")]
) -> None:
    """Settle dead letters without sending them again."""
    if not note.strip():
        raise TillError(
            "A note that says nothing settles nothing.", "Say with --note what was done, or why nothing."
        )
    run(_resolve(till_settings(), letter_ids, note))


async def _list(settings: TillSettings, wanted: Wanted) -> Found:
    kafka, topic = KafkaConnection.of(settings), Topics(settings.topic_prefix).dead_letters
    async with query_connection(settings) as connection, _reader(kafka, topic) as reader:
        return await list_letters(connection, reader, kafka, topic, wanted)


async def _show(settings: TillSettings, letter_id: str) -> tuple[DeadLetter, list[Decision]]:
    async with query_connection(settings) as connection:
        (letter,) = await _find(settings, [letter_id])
        return letter, (await read_decisions(connection, [letter.id])).get(letter.id, [])


async def _retry(settings: TillSettings, ids: list[str], note: str, *, again: bool, anyway: bool) -> None:
    kafka, topics = KafkaConnection.of(settings), Topics(settings.topic_prefix)
    async with operator_connection(settings) as connection:
        letters = await _find(settings, ids)
        if not again:
            await _check_open(connection, letters)
        if not anyway:
            _check_readable(letters)
        with _told(kafka):
            async with Resending(kafka, topics) as resending:
                for letter in letters:
                    if not await resending.takes(letter):
                        source = f"{letter.topic}/{letter.partition}"
                        raise TillError(
                            f"{letter.id} came from {source}, which takes no commands.",
                            f"Only what came from {topics.commands} can be sent again; `resolve` settles it.",
                        )
                for letter in letters:
                    place = await _resend(connection, resending, letter, note)
                    notices.print(f"{letter.id} is on {place} again.", highlight=False)
    notices.print(
        f"What comes of it is on {topics.outcomes}, or it becomes a dead letter anew.",
        highlight=False,
    )


async def _check_open(connection: asyncpg.Connection, letters: list[DeadLetter]) -> None:
    decisions = await read_decisions(connection, [letter.id for letter in letters])
    for letter in letters:
        if letter.id in decisions:
            newest = decisions[letter.id][-1]
            raise TillError(
                f"{letter.id} was {newest.decision} at {newest.decided_at:%Y-%m-%d %H:%M:%SZ}"
                f" by {printable(newest.actor)}.",
                "--again sends it all the same.",
            )


def _check_readable(letters: list[DeadLetter]) -> None:
    for letter in letters:
        if reason := unreadable(letter):
            raise TillError(
                f"{letter.id} can't be read by this build either: {printable(reason)}.",
                "Sent again it becomes a dead letter once more, and counts towards the limit that stops the"
                " command service. `resolve` settles it; --anyway sends it.",
            )


async def _resend(connection: asyncpg.Connection, resending: Resending, letter: DeadLetter, note: str) -> str:
    arguments = {"dead_letter_id": letter.id, "note": note}
    async with recorded(connection, operator_name(), "dead-letters retry", arguments) as action:
        place = await resending.send(letter)
        action.details.update(place)
        await decide(connection, action.id, letter, "retried", note)
    return "{topic}/{partition}/{offset}".format_map(place)


async def _resolve(settings: TillSettings, ids: list[str], note: str) -> None:
    async with operator_connection(settings) as connection:
        for letter in await _find(settings, ids):
            arguments = {"dead_letter_id": letter.id, "note": note}
            async with recorded(connection, operator_name(), "dead-letters resolve", arguments) as action:
                await decide(connection, action.id, letter, "resolved", note)
            notices.print(f"{letter.id} is settled.", highlight=False)


async def _find(settings: TillSettings, ids: list[str]) -> list[DeadLetter]:
    """Return these dead letters as they followed each other. Raises TillError for an unknown id."""
    kafka, topic = KafkaConnection.of(settings), Topics(settings.topic_prefix).dead_letters
    async with _reader(kafka, topic) as reader:
        found = await find_letters(reader, ids)
    if missing := set(ids) - found.keys():
        raise TillError(
            f"{topic} has no dead letter {printable(', '.join(sorted(missing)))}.",
            "`till dead-letters list --all` gives their ids.",
        )
    return sorted(found.values(), key=lambda letter: (letter.topic, letter.partition, letter.offset))


@asynccontextmanager
async def _reader(kafka: KafkaConnection, topic: str) -> AsyncIterator[TopicReader]:
    with _told(kafka):
        async with TopicReader.open(kafka, topic) as reader:
            yield reader


@contextmanager
def _told(kafka: KafkaConnection) -> Iterator[None]:
    try:
        yield
    except UnknownTopicOrPartitionError as error:
        raise TillError(f"Kafka: {error}.", "`till migrate` makes the topics.") from error
    except (KafkaError, TimeoutError, OSError) as error:
        raise NotUpError(f"Kafka at {kafka.bootstrap_servers} does not answer: {error!r}.") from error
