"""The analyst's example of docs/analytics.md, run as it stands there."""

import asyncio
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any
from uuid import uuid4

from aiokafka import AIOKafkaProducer

from harness.installation import Installation
from harness.plain_client import PlainClient, command

DOCUMENT = Path(__file__).parents[2] / "docs" / "analytics.md"
CREATE = {"cashier_id": "anna", "currency": "EUR"}
VOID = {"reason": "returned", "authorised_by": "mia"}


ORDER_ID = str(uuid4())


def documented(name: str) -> str:
    """Give the document's program of a name."""
    (code,) = re.findall(rf"```python\n(# {name}\n.*?)```", DOCUMENT.read_text(), re.DOTALL)
    return str(code)


def basket(
    price: str, day: str, *, order_id: str | None = None, tenant: str = "store-1", voided: bool = False
) -> list[dict[str, Any]]:
    order_id = order_id or str(uuid4())
    item = {"product_id": "p", "name": "Tea", "quantity": "1", "unit_price": price}
    steps = [("CreateOrder", {**CREATE, "business_day": day}), ("AddItem", item), ("ConfirmOrder", {})]
    steps += [("VoidOrder", VOID)] if voided else []
    return [command(kind, order_id, data, tenant=tenant) for kind, data in steps]


async def test_the_documented_consumer_ignores_repeats(
    installation: Installation, upstream: PlainClient, tmp_path: Path
) -> None:
    """The code block of docs/analytics.md gives each day's sales though old events come again at the end."""
    services = [installation.service("command_service"), installation.service("outbox_relay")]
    await asyncio.gather(*(service.ready() for service in services))
    commands = [
        *basket("10.50", "2026-01-30"),
        # Two tenants' orders of one id are two orders.
        *basket("2.00", "2026-01-31", order_id=ORDER_ID),
        *basket("4.25", "2026-01-31", order_id=ORDER_ID, tenant="store-2"),
        *basket("99.00", "2026-01-31", voided=True),
    ]
    await upstream.send(commands)
    events = await upstream.read("orders.events", len(commands))
    topic = f"{installation.prefix}orders.events"
    producer = AIOKafkaProducer(bootstrap_servers=installation.bootstrap_servers)
    await producer.start()
    for event in events:
        # Without the void, the order would be sold again for whom the repeats fool.
        if dict(event.headers)["ce_type"] != b"orders.OrderVoided":
            await producer.send_and_wait(
                topic, event.value, event.key, partition=event.partition, headers=list(event.headers)
            )
    await producer.stop()

    script = tmp_path / "sales.py"
    script.write_text(documented("sales.py"))
    answer = await asyncio.to_thread(
        lambda: subprocess.run(
            [sys.executable, script, topic],
            env={**os.environ, "KAFKA_BOOTSTRAP_SERVERS": installation.bootstrap_servers},
            capture_output=True,
            text=True,
            check=False,
        )
    )
    assert answer.stderr == ""
    assert answer.stdout.splitlines() == ["2026-01-30 EUR 10.50", "2026-01-31 EUR 6.25"]
