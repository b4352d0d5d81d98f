"""The program in docs/live-events.md."""

import asyncio
import os
import re
import sys
from pathlib import Path
from uuid import UUID

from harness.waiting import eventually
from integration.query_service_live.following import LiveService

PAGE = Path(__file__).parents[3] / "docs" / "live-events.md"


async def test_the_documented_program_misses_nothing(live: LiveService, tmp_path: Path) -> None:
    """Ended and started again, it prints each sale once, from the first one on."""
    (program,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    token = live.issuer.token("auditor")
    program = program.replace(
        "HEADERS: dict[str, str] = {}", f"HEADERS = {{'Authorization': 'Bearer {token}'}}"
    )
    (tmp_path / "follow.py").write_text(program)
    seen = tmp_path / "seen.txt"

    async def sell(number: int) -> None:
        value = b'{"total":"%d.00"}' % number
        await live.publish(1, kind="OrderConfirmed", order_id=UUID(int=number), value=value)
        await live.publish(1, tenant="store-2", kind="OrderConfirmed", value=value)

    async def run_until(count: int) -> None:
        with seen.open("ab") as out:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "follow.py",
                cwd=tmp_path,
                env={**os.environ, "QUERY_SERVICE_URL": live.address},
                stdout=out,
                stderr=out,
            )
        try:

            async def printed() -> bool:
                # Ended between an event and its place, the program prints the event once more.
                return len(seen.read_text().splitlines()) >= count and (tmp_path / "place.txt").exists()

            await eventually(printed)
        finally:
            process.terminate()
            await process.wait()

    await sell(1)
    await run_until(1)
    await sell(2)
    await sell(3)
    await run_until(3)
    assert [line.split()[2] for line in seen.read_text().splitlines()] == ["1.00", "2.00", "3.00"]
