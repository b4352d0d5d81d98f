"""`till verify`: proves that log, read models and topic say the same, or names the first difference."""

from dataclasses import asdict
from typing import Annotated, Any

import typer
from rich.markup import escape

from operations import OperationRefused
from operations.verify import Findings, Mismatch
from operations.verify import verify as prove
from readmodels import READ_MODELS
from runtime.printable import printable
from till.advice import advice_on
from till.connecting import kafka_of, operator_connection, operator_name, run_over
from till.errors import TillError
from till.output import Output, OutputOption, answers, notices, print_failure, print_json, print_rows
from till.read_models import known_read_model
from till.settings import till_settings

COULD_NOT_CHECK = 2
_COLUMNS = ("what", "checked", "differences", "parked", "behind")


def verify(
    read_model: Annotated[
        str | None,
        typer.Argument(
            help=f"One of {', '.join(sorted(READ_MODELS))}; all without one.", callback=known_read_model
        ),
    ] = None,
    *,
    topic: Annotated[
        bool, typer.Option("--topic", help="Compare the topic of events too: all of it is read.")
    ] = False,
    patience: Annotated[
        float, typer.Option(min=0, help="Seconds to wait for what lags behind, to check it too.")
    ] = 60.0,
    output: OutputOption = Output.table,
) -> None:
    """Fold the log anew and compare every order. Exit status: 0 equal, 1 different, 2 could not check."""
    names = sorted(READ_MODELS) if read_model is None else [read_model]
    try:
        kafka, topics = kafka_of(till_settings())
        with notices.status("Verifying") as status:
            findings = run_over(
                operator_connection,
                lambda conn: prove(
                    conn,
                    kafka,
                    topics,
                    names,
                    operator_name(),
                    topic=topic,
                    patience=patience,
                    tell=lambda so_far: status.update(f"Verifying: {so_far}"),
                ),
            )
    except (OperationRefused, TillError) as error:
        print_failure(str(error), advice_on(error))
        raise typer.Exit(COULD_NOT_CHECK) from error
    _print(findings, output)
    raise typer.Exit(findings.status)


def _print(findings: Findings, output: Output) -> None:
    if findings.unchecked is not None:
        reason = escape(printable(findings.unchecked))
        notices.print(f"[bold red]till:[/] Could not check all: {reason}.", highlight=False, soft_wrap=True)
    if output is Output.json:
        first = findings.first
        print_json({**findings.counts(), "first": None if first is None else _told(first)})
        return
    if findings.tallies:
        rows = [{"what": where, **asdict(tally)} for where, tally in findings.tallies.items()]
        print_rows(rows, _COLUMNS, output, title="Verified: orders, and records of the topic")
        answers.print()
    if findings.first is not None:
        _print_difference(findings.first)
    elif any(tally.behind for tally in findings.tallies.values()):
        answers.print("What could be checked is equal; the rest lags: see `till lag`, and verify again.")
    elif findings.unchecked is None:
        answers.print("Equal.")


def _told(difference: Mismatch) -> dict[str, Any]:
    key = difference.key
    return {
        "where": difference.where,
        "what": difference.what,
        "tenant_id": key and key.tenant_id,
        "order_id": key and key.aggregate_id,
        "fields": [field._asdict() for field in difference.fields],
    }


def _print_difference(difference: Mismatch) -> None:
    key = difference.key
    whose = "" if key is None else f", order {key.aggregate_id} of {key.tenant_id}"
    # A row, or a record of the topic, may hold whatever somebody wrote into it.
    title = printable(f"First difference: {difference.where}{whose}: {difference.what}")
    if not difference.fields:
        answers.print(title, style="bold", soft_wrap=True, highlight=False, markup=False)
        return
    rows = [
        {
            "field": field.field,
            difference.where: _harmless(field.found),
            "log": _harmless(field.log),
            "": "≠" if field.differs else "",
        }
        for field in difference.fields
    ]
    print_rows(rows, ("field", difference.where, "log", ""), Output.table, title)


def _harmless(value: object) -> object:
    return printable(value) if isinstance(value, str) else value
