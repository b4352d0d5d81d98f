"""The command line as the process that an operator runs."""

import asyncio
import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from harness.forked import ForkedProcess
from harness.installation import Installation


def till_settings(installation: Installation) -> dict[str, str]:
    return {
        "TILLSTREAM_KAFKA_BOOTSTRAP_SERVERS": installation.bootstrap_servers,
        "TILLSTREAM_TOPIC_PREFIX": installation.prefix,
        "TILLSTREAM_DATABASE_URL": installation.database_url("query"),
        "TILLSTREAM_OPERATOR_DATABASE_URL": installation.database_url("operator"),
    }


def run_till(
    environment: Mapping[str, str], folder: Path, *arguments: str
) -> subprocess.CompletedProcess[str]:
    """Run till in a folder to its end, however that ends."""
    with TemporaryDirectory() as aside:
        output, errors = Path(aside) / "output", Path(aside) / "errors"
        process = ForkedProcess(
            ["-m", "till", *arguments], environment=environment, output=output, errors=errors, folder=folder
        )
        try:
            status = process.wait(120)
        finally:
            process.kill()
        return subprocess.CompletedProcess(arguments, status, output.read_text(), errors.read_text())


async def till(installation: Installation, *arguments: str) -> Any:
    """Run till as an operator does; give its JSON answer, if it gives one."""
    environment = {**os.environ, **till_settings(installation)}
    done = await asyncio.to_thread(run_till, environment, installation.folder, *arguments)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout) if done.stdout else None
