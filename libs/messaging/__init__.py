"""Kafka as Tillstream speaks it: topics, CloudEvents messages, offsets that follow a database."""

from messaging.acls import Acl, AppliedAcls, apply_acls, read_acls
from messaging.aiokafka_fixes.stopping import stop_consumer
from messaging.aiokafka_fixes.topic_id import TopicFacts, fetch_topic, fetch_topic_id
from messaging.attributes import Attributes, InvalidAttribute
from messaging.batch_handler import Assigned, Fenced
from messaging.cloudevents import JSON_CONTENT, Envelope, Undecodable, format_time, open_envelope
from messaging.connection import KafkaConnection
from messaging.consumer import BatchConsumer
from messaging.events import SOURCE, EventMessage, decode_event, event_headers, event_json
from messaging.groups import Committed, committed_offsets, group_members
from messaging.partitioning import partition_of
from messaging.producer import Message, Producer
from messaging.read_range import is_without_records, read_again
from messaging.refusals import KafkaRefused
from messaging.shared_producer import SharedProducer
from messaging.starting import is_passing, started
from messaging.tail import RecordsGone, TopicMadeAnew, TopicTail
from messaging.topic_position import BadVector, Vector
from messaging.topic_reader import Offsets, TopicReader
from messaging.topic_settings import TopicSetting, check_topics_keep, differing_settings, mend_settings
from messaging.topics import Topics, ensure_topics
from runtime import Unrecoverable

__all__ = [
    "JSON_CONTENT",
    "SOURCE",
    "Acl",
    "AppliedAcls",
    "Assigned",
    "Attributes",
    "BadVector",
    "BatchConsumer",
    "Committed",
    "Envelope",
    "EventMessage",
    "Fenced",
    "InvalidAttribute",
    "KafkaConnection",
    "KafkaRefused",
    "Message",
    "Offsets",
    "Producer",
    "RecordsGone",
    "SharedProducer",
    "TopicFacts",
    "TopicMadeAnew",
    "TopicReader",
    "TopicSetting",
    "TopicTail",
    "Topics",
    "Undecodable",
    "Unrecoverable",
    "Vector",
    "apply_acls",
    "check_topics_keep",
    "committed_offsets",
    "decode_event",
    "differing_settings",
    "ensure_topics",
    "event_headers",
    "event_json",
    "fetch_topic",
    "fetch_topic_id",
    "format_time",
    "group_members",
    "is_passing",
    "is_without_records",
    "mend_settings",
    "open_envelope",
    "partition_of",
    "read_acls",
    "read_again",
    "started",
    "stop_consumer",
]
