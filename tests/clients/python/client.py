"""Carries out a script of steps with confluent-kafka and CloudEvents' SDK for Python, in either of its APIs.

Reads a job from standard input, `{bootstrap, topic_prefix, name, options, api, steps, outcomes, events}`, and
prints what it read: `{outcomes, events}`. The programs of the other languages take the same job.
"""

import json
import sys
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any, Protocol, cast

from cloudevents.core.bindings import kafka as core_kafka
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent
from cloudevents.v1 import kafka as v1_kafka
from cloudevents.v1.http import CloudEvent as OlderCloudEvent
from confluent_kafka import Consumer, KafkaError, Message, Producer

Headers = list[tuple[str, str | bytes | None]]
Event = dict[str, Any]


class KafkaMessage(Protocol):
    """What both APIs make of an event."""

    @property
    def headers(self) -> dict[str, bytes]: ...
    @property
    def key(self) -> Any: ...
    @property
    def value(self) -> Any: ...


def written_by_core(event: Event, mode: str) -> KafkaMessage:
    attributes = {name: value for name, value in event.items() if name != "data"}
    made = CloudEvent({**attributes, "time": datetime.fromisoformat(event["time"])}, event["data"])
    if mode == "binary":
        return core_kafka.to_binary(made, JSONFormat())
    return core_kafka.to_structured(made, JSONFormat())


def written_by_v1(event: Event, mode: str) -> KafkaMessage:
    attributes = {name: value for name, value in event.items() if name != "data"}
    if mode == "binary":
        # This API writes headers of texts alone.
        texts = {
            name: value if isinstance(value, str) else json.dumps(value) for name, value in attributes.items()
        }
        return v1_kafka.to_binary(OlderCloudEvent(texts, event["data"]))
    made = OlderCloudEvent(attributes, event["data"])
    message = v1_kafka.to_structured(made)
    # This API calls an envelope by the type of its data, unless it is told what is right.
    right = {"content-type": b"application/cloudevents+json"} if mode == "structured" else {}
    return v1_kafka.KafkaMessage({**message.headers, **right}, message.key, message.value)


def headers_of(message: Message) -> dict[str, bytes]:
    return dict(cast("list[tuple[str, bytes]]", message.headers()))


def read_by_core(message: Message) -> Event:
    read = core_kafka.from_binary(
        core_kafka.KafkaMessage(headers_of(message), message.key().decode(), message.value()),
        JSONFormat(),
    )
    attributes = dict(read.get_attributes())
    time = attributes["time"].isoformat().replace("+00:00", "Z")
    return {**attributes, "time": time, "data": read.get_data()}


def read_by_v1(message: Message) -> Event:
    read = v1_kafka.from_binary(
        v1_kafka.KafkaMessage(headers_of(message), message.key().decode(), message.value())
    )
    return {**read.get_attributes(), "data": read.get_data()}


APIS: dict[str, tuple[Callable[[Event, str], KafkaMessage], Callable[[Message], Event]]] = {
    "core": (written_by_core, read_by_core),
    "v1": (written_by_v1, read_by_v1),
}


def message_of(step: dict[str, Any], api: str) -> tuple[bytes, bytes, Headers]:
    """Give key, value and headers of a step: what the SDK makes of it, spoilt where the step says so."""
    mode = step["mode"]
    write, _ = APIS[api]
    written = write(step["event"], mode)
    headers: Headers = list(written.headers.items())
    value = written.value
    if mode == "envelope" and api == "core":
        headers = [("content-type", b"application/json")]
    elif mode == "batch":
        headers, value = [("content-type", b"application/cloudevents-batch+json")], b"[" + value + b"]"
    for name, values in step.get("spoilt", {}).items():
        headers = [header for header in headers if header[0] != name]
        headers += [(name, None if value is None else bytes.fromhex(value)) for value in values]
    return step["event"]["partitionkey"].encode(), value, headers


def send(job: dict[str, Any]) -> None:
    producers: dict[str, Producer] = {}
    shared = {"bootstrap.servers": job["bootstrap"], "acks": "all", **job.get("options", {})}
    topic = f"{job['topic_prefix']}orders.commands"

    def acknowledged(error: KafkaError | None, _message: Message) -> None:
        if error is not None:
            sys.exit(str(error))

    for step in job["steps"]:
        key, value, headers = message_of(step, job["api"])
        if step.get("rolled_back"):
            transactional = Producer({**shared, "transactional.id": f"{job['topic_prefix']}{job['name']}"})
            transactional.init_transactions()
            transactional.begin_transaction()
            transactional.produce(topic, value, key, headers=headers)
            transactional.flush()
            transactional.abort_transaction()
            continue
        codec = step.get("compression", "none")
        if codec not in producers:
            producers[codec] = Producer({**shared, "compression.type": codec, "enable.idempotence": True})
        producers[codec].produce(topic, value, key, headers=headers, on_delivery=acknowledged)
        producers[codec].flush()


def read(job: dict[str, Any], topic: str, count: int) -> list[Event]:
    """Give the first so many events of the topic that answer what this client sent."""
    consumer = Consumer(
        {
            "bootstrap.servers": job["bootstrap"],
            "group.id": f"{job['topic_prefix']}{job['name']}",
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
        }
    )
    consumer.subscribe([f"{job['topic_prefix']}{topic}"])

    def ours() -> Iterator[Event]:
        while True:
            message = consumer.poll(30)
            if message is None:
                sys.exit(f"{topic}: nothing more came in 30 seconds")
            if message.error() is not None:
                sys.exit(str(message.error()))
            event = APIS[job["api"]][1](message)
            if event["correlationid"] == job["name"]:
                yield event

    try:
        found = ours()
        return [next(found) for _ in range(count)]
    finally:
        consumer.close()


def main() -> None:
    job = json.load(sys.stdin)
    send(job)
    answer = {
        "outcomes": read(job, "orders.outcomes", job["outcomes"]),
        "events": read(job, "orders.events", job["events"]),
    }
    json.dump(answer, sys.stdout)


main()
