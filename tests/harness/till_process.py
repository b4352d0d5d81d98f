"""The command line as the process that an operator runs."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from typing import Any

from harness.installation import Installation


def till_settings(installation: Installation) -> dict[str, str]:
    return {
        "TILLSTREAM_KAFKA_BOOTSTRAP_SERVERS": installation.bootstrap_servers,
        "TILLSTREAM_TOPIC_PREFIX": installation.prefix,
        "TILLSTREAM_DATABASE_URL": installation.database_url("query"),
        "TILLSTREAM_OPERATOR_DATABASE_URL": installation.database_url("operator"),
    }


async def till(installation: Installation, *arguments: str) -> Any:
    """Run till as an operator does; give its JSON answer, if it gives one."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "till",
        *arguments,
        cwd=installation.folder,
        env={**os.environ, **till_settings(installation)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, error = await process.communicate()
    assert process.returncode == 0, error.decode()
    return json.loads(out) if out else None
