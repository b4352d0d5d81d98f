"""The projector's composition root."""

import argparse
from collections.abc import Sequence
from functools import partial

import structlog

from projector.process import ProjectorProcess
from readmodels import READ_MODELS
from runtime import EXIT_FATAL, Health, Settings, Unrecoverable, on_stop, run, serve_http

log = structlog.get_logger(__name__)


async def projector(read_models: Sequence[str], settings: Settings) -> int:
    """Keep these read models up to date until SIGTERM or SIGINT; returns the exit status."""
    health = Health()
    process = ProjectorProcess(read_models, settings, health)
    on_stop(process.stop)
    try:
        async with serve_http(health, settings.http_host, settings.http_port):
            return await process.run()
    except Unrecoverable as reason:
        log.error("projector.refused", reason=str(reason))  # noqa: TRY400 - no fault of ours
        return EXIT_FATAL


def main() -> None:
    """Start the service for the read models on the command line, from the environment's settings."""
    parser = argparse.ArgumentParser(prog="projector", description="Keep read models up to date.")
    parser.add_argument("read_models", nargs="+", choices=sorted(READ_MODELS), metavar="READ_MODEL")
    read_models: list[str] = list(dict.fromkeys(parser.parse_args().read_models))
    name = f"projector.{read_models[0]}" if len(read_models) == 1 else "projector"
    run(name, Settings, partial(projector, read_models))
