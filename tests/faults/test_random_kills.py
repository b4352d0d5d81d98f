"""Each service is killed ten times at random moments while commands keep coming."""

import asyncio
import random

import pytest

from faults.town import SERVICES, Town
from harness.guarantees import DEADLINE
from harness.processes import ServiceProcess
from harness.waiting import eventually

KILLS = 10
WORKING = {
    **dict.fromkeys(SERVICES, "tillstream_records_handled_total{"),
    "outbox_relay": "tillstream_outbox_published_total ",
}


async def working(process: ServiceProcess, metric: str) -> None:
    """Wait until a process has got something done since its start."""

    async def counted() -> bool:
        lines = (await asyncio.to_thread(process.get, "/metrics"))[1].splitlines()
        return any(line.startswith(metric) and float(line.split()[-1]) > 0 for line in lines)

    await eventually(counted, deadline=DEADLINE)


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", SERVICES)
async def test_ten_kills_under_load_leave_no_trace(town: Town, name: str) -> None:
    """However often and whenever a service is killed, what was promised holds for every command sent."""
    rng = random.Random(name)  # noqa: S311 - repeatable
    await town.run()
    async with town.under_load():
        for number in range(KILLS):
            # In turn at work and anywhere, start and assignment included.
            if number % 2 == 0:
                await working(town.running[name], WORKING[name])
                await asyncio.sleep(rng.uniform(0, 0.5))
            else:
                await asyncio.sleep(rng.uniform(0, 4))
            assert town.running[name].process.poll() is None, town.running[name].log
            town.running[name].kill()
            await town.expel(name)
            await town.run(name)
    await town.assert_guarantees()
