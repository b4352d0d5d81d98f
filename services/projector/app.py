"""The projector's composition root."""

import argparse
from functools import partial

import structlog

from projector.read_model_process import ReadModelProcess
from readmodels import READ_MODELS
from runtime import EXIT_FATAL, Health, Settings, Unrecoverable, on_stop, run, serve_http

log = structlog.get_logger(__name__)


async def projector(name: str, settings: Settings) -> int:
    """Keep the read model `name` up to date until SIGTERM or SIGINT; returns the exit status."""
    health = Health()
    process = ReadModelProcess(READ_MODELS[name], settings, health)
    on_stop(process.stop)
    try:
        async with serve_http(health, settings.http_host, settings.http_port):
            return await process.run()
    except Unrecoverable as reason:
        log.error("projector.refused", reason=str(reason))  # noqa: TRY400 - no fault of ours
        return EXIT_FATAL


def main() -> None:
    """Start the service named on the command line from the environment's settings."""
    parser = argparse.ArgumentParser(prog="projector", description="Keep one read model up to date.")
    parser.add_argument("read_model", choices=sorted(READ_MODELS))
    name: str = parser.parse_args().read_model
    run(f"projector.{name}", Settings, partial(projector, name))
