"""Topics that others made: what is not as it must be is told, refused where records are lost, and mended."""

from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from commands import ORDERS
from harness.topics import make_topic
from harness.waiting import eventually
from messaging import (
    KafkaConnection,
    TopicReader,
    check_topics_keep,
    differing_settings,
    ensure_topics,
    mend_settings,
)
from messaging.topic_settings import TopicLosesRecords
from messaging.topics import COMMON, DAY_MS


class Made:
    """Topics of one prefix, of which some are made by somebody else."""

    def __init__(self, bootstrap_servers: str, prefix: str) -> None:
        self.kafka = KafkaConnection(bootstrap_servers)
        self.topics = ORDERS.topics(prefix)

    async def by_others(self, topic: str, **settings: str) -> None:
        """Make one of ours as it should be but for these settings (named with underscores)."""
        named = {name.replace("_", "."): value for name, value in settings.items()}
        settings = COMMON | self.topics.configurations()[topic] | named
        await make_topic(self.kafka.bootstrap_servers, topic, settings=settings)

    async def differing(self, *names: str) -> list[tuple[str, str, str]]:
        found = await differing_settings(self.kafka, self.topics, names)
        return [(setting.topic, setting.name, setting.found) for setting in found]

    async def is_right(self, topic: str) -> bool:
        return not await self.differing(topic)

    async def setting(self, topic: str, name: str) -> str:
        admin = AIOKafkaAdminClient(bootstrap_servers=self.kafka.bootstrap_servers)
        await admin.start()
        (response,) = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)])
        await admin.close()
        return str({entry[0]: entry[1] for entry in response.resources[0][4]}[name])


@pytest.fixture
def made(kafka_server: Any, topic_prefix: str) -> Made:
    return Made(kafka_server.bootstrap_servers, topic_prefix)


async def test_what_we_made_is_as_it_must_be(made: Made) -> None:
    """Our own topics differ in nothing, and a missing one is nobody's fault here."""
    await made.by_others(made.topics.commands)
    await ensure_topics(made.kafka, made.topics, partitions=1)
    assert await made.differing(*made.topics.configurations()) == []
    await check_topics_keep(made.kafka, made.topics, made.topics.configurations())
    absent = ORDERS.topics(f"{made.topics.prefix}absent.")
    assert await differing_settings(made.kafka, absent, [absent.commands]) == []


@pytest.mark.parametrize(
    ("topic", "name", "value"),
    [
        ("commands", "cleanup.policy", "compact"),
        ("commands", "cleanup.policy", "compact,delete"),
        ("outcomes", "cleanup.policy", "compact"),
        ("commands", "retention.ms", str(DAY_MS - 1)),
        ("commands", "retention.bytes", "1000000"),
        ("commands", "message.timestamp.type", "CreateTime"),
        ("commands", "unclean.leader.election.enable", "true"),
        ("events", "cleanup.policy", "compact"),
        ("events", "retention.ms", str(7 * DAY_MS)),
        ("events", "retention.bytes", "1000000"),
        ("dead_letters", "retention.ms", str(30 * DAY_MS)),
    ],
)
async def test_a_topic_that_loses_records_is_refused_and_mended(
    made: Made, topic: str, name: str, value: str
) -> None:
    """A service refuses it by topic, setting and what it must be; mending leaves all other settings."""
    mended: str = getattr(made.topics, topic)
    await made.by_others(mended, **{name.replace(".", "_"): value, "segment_bytes": "2000000"})
    with pytest.raises(TopicLosesRecords, match=rf"{mended} has {name}={value}, and must have .*: "):
        await check_topics_keep(made.kafka, made.topics, [mended])
    settings = await differing_settings(made.kafka, made.topics, [mended])
    assert [(setting.name, setting.found) for setting in settings] == [(name, value)]
    await mend_settings(made.kafka, settings)
    await eventually(lambda: made.is_right(mended))
    assert await made.setting(mended, "segment.bytes") == "2000000"


@pytest.mark.parametrize(
    ("topic", "name", "value"),
    [
        ("commands", "retention.ms", str(7 * DAY_MS)),
        ("commands", "max.message.bytes", "100000"),
        ("commands", "compression.type", "producer"),
        ("events", "compression.type", "zstd"),
        ("outcomes", "retention.ms", "3600000"),
    ],
)
async def test_a_topic_that_differs_otherwise_is_told_and_served(
    made: Made, topic: str, name: str, value: str
) -> None:
    """What loses nothing is told to who migrates, and no service is kept from its work by it."""
    differing: str = getattr(made.topics, topic)
    await made.by_others(differing, **{name.replace(".", "_"): value})
    assert await made.differing(differing) == [(differing, name, value)]
    await check_topics_keep(made.kafka, made.topics, [differing])


@pytest.mark.parametrize(
    ("name", "value"),
    [("retention.ms", "-1"), ("retention.ms", str(90 * DAY_MS)), ("max.message.bytes", str(8 * 1024**2))],
)
async def test_what_keeps_more_is_right(made: Made, name: str, value: str) -> None:
    """Who keeps commands for longer, or lets larger ones in, is told nothing."""
    await made.by_others(made.topics.commands, **{name.replace(".", "_"): value})
    assert await made.differing(made.topics.commands) == []


@pytest.mark.parametrize("codec", ["gzip", "snappy", "lz4", "zstd"])
async def test_batches_in_every_codec_are_read(made: Made, codec: str) -> None:
    """Whatever a sender packs its batches with is read, on a topic that keeps them as they came."""
    topic = made.topics.commands
    await made.by_others(topic, compression_type="producer")
    sent = [b"%d" % number * 100 for number in range(50)]
    async with AIOKafkaProducer(
        bootstrap_servers=made.kafka.bootstrap_servers, compression_type=codec, linger_ms=50
    ) as producer:
        for sending in [await producer.send(topic, value) for value in sent]:
            await sending
    async with TopicReader.open(made.kafka, topic) as reader:
        read = [record.value async for page in reader.pages({0: 0}, reader.ends) for record in page]
    assert read == sent
