"""The command line: one registration line per verb, and errors told in one line."""

import sys

import typer

from local.servers import LocalServerError
from operations import OperationRefused
from runtime import WrongSettings
from till.advice import advice_on
from till.errors import TillError
from till.output import print_failure
from till.verbs.acls import acls
from till.verbs.actions import actions
from till.verbs.at import at
from till.verbs.audit import audit
from till.verbs.dead_letters import dead_letters
from till.verbs.demo import demo
from till.verbs.diff import diff
from till.verbs.down import down
from till.verbs.history import history
from till.verbs.kafka import kafka
from till.verbs.lag import lag
from till.verbs.load import load
from till.verbs.migrate import migrate
from till.verbs.parked import parked
from till.verbs.pause import pause, resume
from till.verbs.psql import psql
from till.verbs.rebuild import rebuild
from till.verbs.recover import recover, republish
from till.verbs.replay import replay
from till.verbs.sales import sales
from till.verbs.search import search
from till.verbs.show import show
from till.verbs.tail import tail
from till.verbs.up import up
from till.verbs.verify import verify

app = typer.Typer(
    name="till",
    help="Tillstream's command line: run everything here, load orders, and look into them.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)

app.command()(up)
app.command()(down)
app.command()(migrate)
app.command()(acls)
app.command()(demo)
app.command()(load)
app.command()(show)
app.command()(history)
app.command()(at)
app.command()(diff)
app.command()(audit)
app.command()(search)
app.command()(sales)
app.command()(lag)
app.command()(tail)
app.add_typer(dead_letters)
app.add_typer(parked)
app.command()(actions)
app.command()(verify)
app.command()(recover)
app.command()(republish)
app.command()(pause)
app.command()(resume)
app.command()(replay)
app.command()(rebuild)
# What stands behind it is psql's.
app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})(psql)
# Options behind the tool's name are the tool's.
app.command(context_settings={"allow_extra_args": True, "allow_interspersed_args": False})(kafka)


def main() -> None:
    """Run the command line; an error a person can act on becomes one line, advice and exit code 1."""
    try:
        app()
    except (OperationRefused, TillError, LocalServerError) as error:
        print_failure(str(error), advice_on(error))
        sys.exit(1)
    except WrongSettings as error:
        print_failure(f"A setting is wrong: {error}.", "Correct it in the environment.")
        sys.exit(1)
