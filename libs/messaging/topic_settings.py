"""What an installation's topics must be set to, compared with what they are: others may have made them."""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import NamedTuple

import structlog
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    KafkaError,
    TopicAuthorizationFailedError,
    UnknownTopicOrPartitionError,
    for_code,
)

from messaging.connection import KafkaConnection
from messaging.refusals import admin_client
from messaging.topics import COMMON, DAY_MS, Topics
from runtime import Unrecoverable

log = structlog.get_logger(__name__)

_FOR_EVER = -1
# Of Kafka's ConfigSource: set for the topic itself, not for the cluster.
_TOPICS_OWN = 1
_NOT_ALLOWED = (TopicAuthorizationFailedError, ClusterAuthorizationFailedError)


class TopicSetting(NamedTuple):
    """A topic's setting that is not as it must be; `loses` tells what is lost by it, if anything is."""

    topic: str
    name: str
    found: str
    wanted: str
    loses: str | None

    def __str__(self) -> str:
        """Say what is wrong, in words."""
        lost = f": {self.loses}" if self.loses else ""
        return f"{self.topic} has {self.name}={self.found}, and must have {self.wanted}{lost}"

    @property
    def fix(self) -> str:
        """The arguments of Kafka's own tool that mend it."""
        return (
            f"configs --alter --entity-type topics --entity-name {self.topic}"
            f" --add-config {self.name}={self.wanted}"
        )


class TopicLosesRecords(Unrecoverable):
    """A topic is set so that Kafka deletes records that somebody relies on; the text says which and how."""


async def differing_settings(
    kafka: KafkaConnection, topics: Topics, names: Collection[str]
) -> list[TopicSetting]:
    """Compare the settings of the named topics of ours; those that are missing are passed over.

    Raises KafkaError when the cluster doesn't tell.
    """
    found = await _describe(kafka, names)
    wanted = topics.configurations()
    return [
        setting
        for topic, values in found.items()
        for setting in _compare(topic, values, COMMON | wanted[topic], keeps=topic != topics.outcomes)
    ]


async def check_topics_keep(kafka: KafkaConnection, topics: Topics, names: Collection[str]) -> None:
    """Raise TopicLosesRecords where one of the named topics would lose what it must keep.

    Where we may not look, a warning says so. Raises KafkaError when the cluster doesn't tell.
    """
    try:
        settings = await differing_settings(kafka, topics, names)
    except _NOT_ALLOWED as error:
        log.warning("topics.settings_unknown", topics=sorted(names), error=repr(error))
        return
    losing = [setting for setting in settings if setting.loses]
    if losing:
        told = "; ".join(map(str, losing))
        raise TopicLosesRecords(f"{told}. `till migrate --mend-topics` sets it right")
    for setting in settings:
        log.warning("topic.setting_differs", topic=setting.topic, setting=setting.name, found=setting.found)


async def mend_settings(kafka: KafkaConnection, settings: Sequence[TopicSetting]) -> None:
    """Set what differs to what it must be, and leave all else that was set for the topics.

    Raises KafkaError when the cluster refuses.
    """
    changes: dict[str, dict[str, str]] = {}
    for setting in settings:
        changes.setdefault(setting.topic, {})[setting.name] = setting.wanted
    found = await _describe(kafka, changes)
    async with admin_client(kafka) as admin:
        # Kafka's older request, which is aiokafka's only one, sets all that a topic has of its own at once.
        resources = [
            ConfigResource(
                ConfigResourceType.TOPIC,
                topic,
                {name: value for name, (value, own) in found[topic].items() if own} | change,
            )
            for topic, change in changes.items()
        ]
        responses = await admin.alter_configs(resources)
    for response in responses:
        for code, message, _, name in (resource[:4] for resource in response.resources):
            if code:
                raise for_code(code)(f"topic {name}: {message}")


_Values = Mapping[str, tuple[str, bool]]


async def _describe(kafka: KafkaConnection, names: Collection[str]) -> dict[str, _Values]:
    """Return topic → setting → its value, and whether it is the topic's own."""
    async with admin_client(kafka) as admin:
        asked = [ConfigResource(ConfigResourceType.TOPIC, name) for name in sorted(names)]
        responses = await admin.describe_configs(asked)
    found: dict[str, _Values] = {}
    for response in responses:
        for code, message, _, name, entries in response.resources:
            error = for_code(code)
            if error is UnknownTopicOrPartitionError:
                continue
            if code:
                raise (
                    error(f"topic {name}: {message}")
                    if issubclass(error, KafkaError)
                    else KafkaError(message)
                )
            found[name] = {entry[0]: (entry[1], entry[3] == _TOPICS_OWN) for entry in entries}
    return found


def _compare(topic: str, found: _Values, wanted: Mapping[str, str], *, keeps: bool) -> list[TopicSetting]:
    """Return what is not as it must be; `keeps` tells whether what is deleted is deleted for good."""
    differing = []
    for name, must_be in wanted.items():
        value = found.get(name, ("", False))[0]
        rule = _RULES.get(name, _same)
        if not rule(value, must_be):
            differing.append(
                TopicSetting(topic, name, value, must_be, _loses(name, value, must_be, keeps=keeps))
            )
    return differing


def _same(found: str, wanted: str) -> bool:
    return found == wanted


def _at_least(found: str, wanted: str) -> bool:
    """Compare numbers of which -1 is the greatest: for ever, or without a bound."""
    return int(found) == _FOR_EVER or (int(wanted) != _FOR_EVER and int(found) >= int(wanted))


_RULES: Mapping[str, Callable[[str, str], bool]] = {
    "retention.ms": _at_least,
    "retention.bytes": _at_least,
    "max.message.bytes": _at_least,
    "min.insync.replicas": _at_least,
}


def _loses(name: str, found: str, wanted: str, *, keeps: bool) -> str | None:
    """Say what is lost by a setting; None where nothing is."""
    match name:
        case "cleanup.policy":
            return "of each order Kafka would keep the last record only"
        case "retention.bytes" if keeps:
            return "Kafka would delete records by their number, read or not"
        case "retention.ms" if wanted == str(_FOR_EVER) or (keeps and int(found) < DAY_MS):
            return "Kafka would delete records that must stay"
        case "message.timestamp.type":
            return "a terminal whose clock is far behind would send commands that Kafka deletes unread"
        case "unclean.leader.election.enable":
            return "a broker that lacks acknowledged records could become the leader"
        case _:
            return None
