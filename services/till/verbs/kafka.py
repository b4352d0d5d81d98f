import asyncio
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Annotated

import typer

from local.servers import TOOLS, kafka_tool
from messaging import KafkaConnection
from operations import Unreachable
from till.connecting import acting_without_database
from till.errors import TillError
from till.settings import TillSettings, till_settings
from till.tool_arguments import only_looks, without_secrets


def kafka(
    context: typer.Context,
    tool: Annotated[str, typer.Argument(help=f"One of {', '.join(TOOLS)}; what follows is the tool's own.")],
) -> None:
    """Run one of Kafka's own tools, on this installation's Kafka unless --bootstrap-server names another."""
    if tool not in TOOLS:
        raise TillError(f"{tool} is not one of Kafka's tools here.", f"There are {', '.join(TOOLS)}.")
    if any(argument.partition("=")[0] == "--bootstrap-server" for argument in context.args):
        # Another cluster: our user and password are not for it.
        run = _run(_settings_if_any(), tool, context.args, kafka_tool(tool, context.args, ""))
        sys.exit(asyncio.run(run))
    settings = till_settings()
    connection = KafkaConnection.of(settings)
    with _command_config(connection) as config:
        command = kafka_tool(tool, context.args, connection.bootstrap_servers, config)
        sys.exit(asyncio.run(_run(settings, tool, context.args, command)))


def _settings_if_any() -> TillSettings | None:
    try:
        return till_settings()
    except (TillError, Unreachable):
        return None


async def _run(
    settings: TillSettings | None, tool: str, arguments: Sequence[str], command: Sequence[str]
) -> int:
    """Run a tool and return its exit status; what may change something is recorded where that is set up."""
    if settings is None or only_looks(tool, arguments):
        return await _status(command)
    told = {"tool": tool, "arguments": without_secrets(arguments)}
    try:
        async with acting_without_database(settings, "kafka", told):
            await _succeed(command)
    except _Failed as failed:
        return failed.status
    return 0


class _Failed(Exception):
    def __init__(self, status: int) -> None:
        super().__init__(f"exit status {status}")
        self.status = status


async def _succeed(command: Sequence[str]) -> None:
    if status := await _status(command):
        raise _Failed(status)


async def _status(command: Sequence[str]) -> int:
    # Its output and its exit code are the answer, in its own form: -o is the tool's here.
    process = await asyncio.create_subprocess_exec(*command)
    try:
        return await process.wait()
    finally:
        # After Ctrl-C, which the tool got too.
        if process.returncode is None:
            process.terminate()
            await process.wait()


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
