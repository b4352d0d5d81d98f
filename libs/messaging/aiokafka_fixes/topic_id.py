"""The id Kafka gave a topic when it was made: one deleted and made anew under its name has another.

aiokafka 0.14 knows the Metadata request up to version 5; ids came with version 10 (KIP-516). The layout is
version 12's, from MetadataRequest.json and MetadataResponse.json in Kafka's own source.
"""

from io import BytesIO
from typing import Any, NamedTuple
from uuid import UUID

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import for_code
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import (
    AbstractType,
    Boolean,
    CompactArray,
    CompactString,
    Int16,
    Int32,
    Schema,
    TaggedFields,
)

from messaging.connection import KafkaConnection

_API_KEY, _API_VERSION = 3, 12


class _Uuid(AbstractType):  # type: ignore[misc] # aiokafka ships no types
    @classmethod
    def encode(cls, value: UUID) -> bytes:
        return value.bytes

    @classmethod
    def decode(cls, data: BytesIO) -> UUID:
        return UUID(bytes=data.read(16))


class _MetadataResponse(Response):  # type: ignore[misc] # aiokafka ships no types
    API_KEY = _API_KEY
    API_VERSION = _API_VERSION
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "brokers",
            CompactArray(
                ("node_id", Int32),
                ("host", CompactString("utf-8")),
                ("port", Int32),
                ("rack", CompactString("utf-8")),
                ("tags", TaggedFields),
            ),
        ),
        ("cluster_id", CompactString("utf-8")),
        ("controller_id", Int32),
        (
            "topics",
            CompactArray(
                ("error_code", Int16),
                ("name", CompactString("utf-8")),
                ("topic_id", _Uuid),
                ("is_internal", Boolean),
                (
                    "partitions",
                    CompactArray(
                        ("error_code", Int16),
                        ("partition", Int32),
                        ("leader", Int32),
                        ("leader_epoch", Int32),
                        ("replicas", CompactArray(Int32)),
                        ("isr", CompactArray(Int32)),
                        ("offline_replicas", CompactArray(Int32)),
                        ("tags", TaggedFields),
                    ),
                ),
                ("authorized_operations", Int32),
                ("tags", TaggedFields),
            ),
        ),
        ("tags", TaggedFields),
    )


class _MetadataRequestStruct(RequestStruct):  # type: ignore[misc] # aiokafka ships no types
    API_KEY = _API_KEY
    API_VERSION = _API_VERSION
    FLEXIBLE_VERSION = True
    RESPONSE_TYPE = _MetadataResponse
    SCHEMA = Schema(
        (
            "topics",
            CompactArray(("topic_id", _Uuid), ("name", CompactString("utf-8")), ("tags", TaggedFields)),
        ),
        ("allow_auto_topic_creation", Boolean),
        ("include_topic_authorized_operations", Boolean),
        ("tags", TaggedFields),
    )


class _MetadataRequest(Request[_MetadataRequestStruct]):  # type: ignore[misc] # aiokafka ships no types
    API_KEY = _API_KEY

    def __init__(self, topic: str) -> None:
        self._topic = topic

    def build(self, request_struct_class: type[_MetadataRequestStruct]) -> Any:  # noqa: ANN401 - untyped
        return request_struct_class([(UUID(int=0), self._topic, {})], False, False, {})


class TopicFacts(NamedTuple):
    """A topic's id, and how many partitions it has now."""

    topic_id: UUID
    partitions: int


async def fetch_topic(kafka: KafkaConnection, topic: str) -> TopicFacts:
    """Return what Kafka knows of the topic.

    Raises aiokafka's UnknownTopicOrPartitionError when there is no such topic, and other KafkaErrors.
    """
    admin = AIOKafkaAdminClient(**kafka.options())
    try:
        # A start that fails may have opened connections.
        await admin.start()
        response = await admin._send_request(_MetadataRequest(topic))  # noqa: SLF001 - the one way to send it
    finally:
        await admin.close()
    code, _name, topic_id, _is_internal, partitions = response.topics[0][:5]
    if code:
        raise for_code(code)(topic)
    return TopicFacts(UUID(int=topic_id.int), len(partitions))


async def fetch_topic_id(kafka: KafkaConnection, topic: str) -> UUID:
    """Return the topic's id. Raises as `fetch_topic` does."""
    return (await fetch_topic(kafka, topic)).topic_id
