"""`till dead-letters`: look at records that name no command, send them again, or settle them with a note."""

from typing import Annotated, Any

import typer
from rich.text import Text

from operations.dead_letters import LetterFilter, letter_document, list_letters, read_letter, resend
from operations.dead_letters import resolve as settle
from runtime.printable import printable
from till.connecting import kafka_of, operator_connection, operator_name, query_connection, run, run_over
from till.errors import TillError
from till.output import Output, OutputOption, answers, notices, print_json, print_rows
from till.settings import till_settings
from till.times import parse_time
from till.verbs.holds import held, held_back, let_go_on

dead_letters = typer.Typer(
    name="dead-letters",
    help="Records that name no command: list and show them, send them again, or settle them.",
    no_args_is_help=True,
)

_SHOWN_CHARACTERS = 4_000
_COLUMNS = ("at", "id", "source", "reason", "what", "state")
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
    wanted = LetterFilter(
        everything,
        reason,
        topic,
        None if since is None else parse_time(since),
        None if until is None else parse_time(until),
        limit,
    )
    kafka, topics = kafka_of(till_settings())

    found = run_over(query_connection, lambda conn: list_letters(conn, kafka, topics.dead_letters, wanted))
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
                    "state": _state(row),
                }.items()
            }
            for row in found.rows
        ]
        print_rows(shown, _COLUMNS, output, title="Dead letters" if everything else "Open dead letters")
    if found.there_is_more:
        notices.print(
            f"Only the newest {found.records:,} were looked through: --limit gives more, --until older ones.",
            highlight=False,
        )
    if told := held_back(found.held_back):
        notices.print(told, soft_wrap=True)
    if found.foreign:
        notices.print(f"{found.foreign:,} records on the topic are no dead letters of ours.", highlight=False)


@dead_letters.command()
def show(letter_id: IdArgument, output: OutputOption = Output.table) -> None:
    """Show a dead letter as it was received, and what was decided about it."""
    kafka, topics = kafka_of(till_settings())
    letter, decisions = run_over(query_connection, lambda conn: read_letter(conn, kafka, topics, letter_id))
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
    headers = [{"header": printable(name), "value": _shown(raw)} for name, raw in letter.headers]
    print_rows(headers, ("header", "value"), output, title="Headers")
    value = _shown(letter.value)
    size = "none" if letter.value is None else f"{len(letter.value):,} bytes"
    answers.print(Text(f"Value ({size})", style="bold"), soft_wrap=True)
    answers.print(Text(value), soft_wrap=True)
    rows = [
        {**decision._asdict(), "actor": printable(decision.actor), "note": printable(decision.note)}
        for decision in decisions
    ]
    print_rows(rows, ("decided_at", "decision", "actor", "note", "sent_to"), output, title="Decisions")


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
    run(_retry(letter_ids, note, again=again, anyway=anyway))


@dead_letters.command()
def resolve(
    letter_ids: IdsArgument, note: Annotated[str, typer.Option(help="What was done instead, or why nothing.")]
) -> None:
    """Settle dead letters without sending them again."""
    if not note.strip():
        raise TillError(
            "A note that says nothing settles nothing.", "Say with --note what was done, or why nothing."
        )
    run(_resolve(letter_ids, note))


dead_letters.command("held")(held)
dead_letters.command("release")(let_go_on)


async def _retry(ids: list[str], note: str, *, again: bool, anyway: bool) -> None:
    settings = till_settings()
    kafka, topics = kafka_of(settings)
    async with operator_connection(settings) as conn:
        sent = resend(conn, kafka, topics, ids, actor=operator_name(), note=note, again=again, anyway=anyway)
        async for letter, place in sent:
            notices.print(f"{letter.id} is on {place} again.", highlight=False)
    notices.print(
        f"What comes of it is on {topics.outcomes}, or it becomes a dead letter anew.", highlight=False
    )


async def _resolve(ids: list[str], note: str) -> None:
    settings = till_settings()
    async with operator_connection(settings) as conn:
        async for letter in settle(conn, *kafka_of(settings), ids, actor=operator_name(), note=note):
            notices.print(f"{letter.id} is settled.", highlight=False)


def _state(row: dict[str, Any]) -> str:
    """Say what was decided about a letter, when and by whom, and what came of it."""
    told = str(row["decision"])
    if row["decided_at"]:
        told += f" {row['decided_at']:%Y-%m-%d %H:%M:%SZ} by {row['decided_by']}"
    if row["came_of_it"]:
        told += f": {row['came_of_it']}"
    if row["retry_of"]:
        told += f"; was sent again {row['retried_at']:%Y-%m-%d %H:%M:%SZ} by {row['retried_by']}"
    return told


def _shown(raw: bytes | None) -> str:
    """Return bytes as a terminal may have them, the first few thousand of them."""
    if raw is None:
        return ""
    # Escapes are longer than what they stand for, so this much of it is enough.
    text = printable(raw[:_SHOWN_CHARACTERS])
    return f"{text}… (-o json gives the rest)" if len(raw) > _SHOWN_CHARACTERS else text
