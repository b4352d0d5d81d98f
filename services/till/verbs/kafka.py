from __future__ import annotations

import subprocess
import sys
from typing import Annotated

import typer

from localservers import TOOLS, kafka_tool
from till.errors import TillError
from till.settings import till_settings


def kafka(
    context: typer.Context,
    tool: Annotated[str, typer.Argument(help=f"One of {', '.join(TOOLS)}; what follows is the tool's own.")],
) -> None:
    """Run one of Kafka's own tools, on this installation's Kafka unless --bootstrap-server names another."""
    if tool not in TOOLS:
        raise TillError(f"{tool} is not one of Kafka's tools here.", f"There are {', '.join(TOOLS)}.")
    given = any(argument.partition("=")[0] == "--bootstrap-server" for argument in context.args)
    servers = "" if given else till_settings().kafka_bootstrap_servers
    command = kafka_tool(tool, context.args, servers)
    # Its output and its exit code are the answer, in its own form: -o is the tool's here.
    sys.exit(subprocess.run(command, check=False).returncode)  # noqa: S603 - what the person asked for
