import asyncio
import socket
import subprocess
from pathlib import Path

import psutil
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from harness.topics import make_topic
from local.servers import Kafka, free_port


async def send_one(bootstrap: str, topic: str) -> None:
    """Make a topic and send one record to it."""
    await make_topic(bootstrap, topic)
    async with AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all") as producer:
        await producer.send_and_wait(topic, b"kept")


async def read_one(bootstrap: str, topic: str) -> bytes | None:
    """Read a topic's first record."""
    async with AIOKafkaConsumer(topic, bootstrap_servers=bootstrap, auto_offset_reset="earliest") as consumer:
        record = await asyncio.wait_for(consumer.getone(), 30)
        return bytes(record.value) if record.value is not None else None


def test_a_restarted_broker_has_its_records(tmp_path: Path) -> None:
    """Records survive a restart at the same address, no topic makes itself, and `stop` leaves no process."""
    broker = Kafka(tmp_path / "kafka")
    with broker:
        port = broker.port
        asyncio.run(send_one(broker.bootstrap_servers, "orders"))
        shown = subprocess.run(
            broker.tool("topics", ["--list"]), check=True, capture_output=True, text=True, timeout=60
        )
        assert shown.stdout.split() == ["orders"]
        assert broker.pid is not None
        process = psutil.Process(broker.pid)
    assert not process.is_running()
    again = Kafka(tmp_path / "kafka")
    with again:
        assert again.port == port
        assert asyncio.run(read_one(again.bootstrap_servers, "orders")) == b"kept"


def test_another_port_when_the_kept_one_is_taken(tmp_path: Path) -> None:
    """A broker whose port somebody else has taken advertises a free one, in its configuration too."""
    broker = Kafka(tmp_path / "kafka")
    broker.data_dir.mkdir()
    (broker.data_dir / "port").write_text(str(free_port()))
    broker.prepare()
    with socket.socket() as rival:
        rival.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        rival.bind(("127.0.0.1", broker.port))
        rival.listen()
        moved = Kafka(tmp_path / "kafka")
        moved.prepare()
    assert moved.port != broker.port
    assert f"PLAINTEXT://{moved.bootstrap_servers}," in (moved.data_dir / "server.properties").read_text()
