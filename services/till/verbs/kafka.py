from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Annotated

import typer

from localservers import TOOLS, kafka_tool
from messaging import KafkaConnection
from till.errors import TillError
from till.settings import till_settings


def kafka(
    context: typer.Context,
    tool: Annotated[str, typer.Argument(help=f"One of {', '.join(TOOLS)}; what follows is the tool's own.")],
) -> None:
    """Run one of Kafka's own tools, on this installation's Kafka unless --bootstrap-server names another."""
    if tool not in TOOLS:
        raise TillError(f"{tool} is not one of Kafka's tools here.", f"There are {', '.join(TOOLS)}.")
    if any(argument.partition("=")[0] == "--bootstrap-server" for argument in context.args):
        # Another cluster: our user and password are not for it.
        sys.exit(_run(kafka_tool(tool, context.args, "")))
    connection = KafkaConnection.of(till_settings())
    with _command_config(connection) as config:
        sys.exit(_run(kafka_tool(tool, context.args, connection.bootstrap_servers, config)))


def _run(command: list[str]) -> int:
    # Its output and its exit code are the answer, in its own form: -o is the tool's here.
    return subprocess.run(command, check=False).returncode  # noqa: S603 - what the person asked for


@contextmanager
def _command_config(connection: KafkaConnection) -> Iterator[Path | None]:
    """Give the file the tool reads its password from: nobody else may, and it goes with the tool."""
    if connection.protocol == "PLAINTEXT":
        yield None
        return
    # Made with mode 0600.
    with NamedTemporaryFile("w", prefix="till-", suffix=".properties", encoding="ascii") as file:
        file.write(connection.tool_properties())
        file.flush()
        yield Path(file.name)
