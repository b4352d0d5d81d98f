"""The topics: their names, how long they keep what, and how they are made."""

import asyncio
from dataclasses import dataclass

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError, TopicAlreadyExistsError, UnknownTopicOrPartitionError, for_code

from messaging.connection import KafkaConnection
from messaging.refusals import admin_client

MEBIBYTE = 1024 * 1024
COMMON = {
    "cleanup.policy": "delete",
    # By their age alone, whatever the cluster's default is.
    "retention.bytes": "-1",
    "unclean.leader.election.enable": "false",
    # Upstream may compress as it likes. Kafka takes it apart, so that a few bytes can't unfold into a value
    # beyond all bounds here, and no reader needs a decompressor.
    "compression.type": "uncompressed",
}
DAY_MS = 24 * 60 * 60 * 1000
PARTITIONS = 12
BROKERS_FOR_REPLICATION = 3
# Named when the orders were the only context; installations have it.
DEAD_LETTERS = "orders.dead-letters"
_LOOKS, _LOOK_INTERVAL = 100, 0.05


@dataclass(frozen=True, slots=True)
class Topics:
    """The names of one context's topics; `prefix` keeps several installations apart on one cluster."""

    context: str
    prefix: str = ""

    @property
    def commands(self) -> str:
        """What upstream systems want done."""
        return f"{self.prefix}{self.context}.commands"

    @property
    def events(self) -> str:
        """What happened, in version order per aggregate."""
        return f"{self.prefix}{self.context}.events"

    @property
    def outcomes(self) -> str:
        """What became of each command."""
        return f"{self.prefix}{self.context}.outcomes"

    @property
    def dead_letters(self) -> str:
        """Records that name no command, as they were received; one topic for all contexts."""
        return f"{self.prefix}{DEAD_LETTERS}"

    def group(self, name: str) -> str:
        """Return the consumer group `name` of this installation."""
        return f"{self.prefix}{name}"

    def configurations(self) -> dict[str, dict[str, str]]:
        """Return topic name → Kafka's topic settings, beside those that all topics have."""
        month = str(30 * DAY_MS)
        return {
            self.commands: {
                "retention.ms": month,
                "max.message.bytes": str(MEBIBYTE),
                # A till's clock of 1970 must not make a command old enough to be deleted before it is read.
                "message.timestamp.type": "LogAppendTime",
            },
            self.events: {"retention.ms": "-1", "max.message.bytes": str(MEBIBYTE)},
            self.outcomes: {"retention.ms": month, "max.message.bytes": str(MEBIBYTE)},
            # A dead letter is a record as received and the reason: it must never be too large for its topic.
            self.dead_letters: {"retention.ms": "-1", "max.message.bytes": str(2 * MEBIBYTE)},
        }


async def ensure_topics(kafka: KafkaConnection, topics: Topics, partitions: int = PARTITIONS) -> list[str]:
    """Make the topics that are missing and return their names; topics that exist stay as they are.

    With three brokers or more each topic has three replicas of which two must be in sync.
    Raises KafkaError when the cluster refuses.
    """
    async with admin_client(kafka) as admin:
        brokers = len((await admin.describe_cluster())["brokers"])
        replicated = brokers >= BROKERS_FOR_REPLICATION
        durability = {"min.insync.replicas": "2"} if replicated else {}
        wanted = [
            NewTopic(
                name,
                partitions,
                3 if replicated else 1,
                topic_configs={**COMMON, **durability, **configuration},
            )
            for name, configuration in topics.configurations().items()
        ]
        response = await admin.create_topics(wanted)
        await _until_known(admin, [topic.name for topic in wanted])
    created = []
    for name, code, message in (row[:3] for row in response.topic_errors):
        error = for_code(code)
        if error is TopicAlreadyExistsError:
            continue
        if code:
            raise KafkaError(f"topic {name} could not be made: {message or error.__name__}")
        created.append(name)
    return created


async def _until_known(admin: AIOKafkaAdminClient, names: list[str]) -> None:
    """Wait, at most 5 s, until clients find the topics: brokers learn of them from the controller."""
    for _ in range(_LOOKS):
        found = await admin.describe_topics(names)
        if not any(for_code(each["error_code"]) is UnknownTopicOrPartitionError for each in found):
            break
        await asyncio.sleep(_LOOK_INTERVAL)
