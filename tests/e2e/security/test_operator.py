"""`till` as the operator of deploy/kafka-acls.toml."""

import json
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition

from commands import ORDERS
from e2e.security.conftest import NEW_PREFIX, Dsn, SecuredKafka
from harness.till_process import run_till
from messaging.topics import PARTITIONS

COUNT = 5


async def test_the_operator_makes_the_topics_and_loads(
    secured_kafka: SecuredKafka, secured_dsn: Dsn, tmp_path: Path
) -> None:
    """With exactly the permissions of deploy/, `till migrate` makes the topics and `till load` fills one."""
    environment = secured_kafka.environment(
        "operator",
        topic_prefix=NEW_PREFIX,
        database_url=secured_dsn("query"),
        admin_database_url=secured_dsn("postgres"),
    )

    def till(*arguments: str) -> Any:
        ran = run_till(environment, tmp_path, *arguments, "--output", "json")
        assert ran.returncode == 0, ran.stdout + ran.stderr
        assert secured_kafka.password("operator") not in ran.stdout + ran.stderr
        return json.loads(ran.stdout)

    topics = ORDERS.topics(NEW_PREFIX)
    assert set(till("migrate")["topics"]) == set(topics.configurations())
    assert till("migrate")["topics"] == []
    sent = till("load", "--orders", str(COUNT))
    assert sent["orders"] == COUNT
    async with AIOKafkaConsumer(**secured_kafka.connection("operator").options()) as consumer:
        partitions = [TopicPartition(topics.commands, number) for number in range(PARTITIONS)]
        assert sum((await consumer.end_offsets(partitions)).values()) == sent["commands"]
