"""The messages that leave through the outbox: events, outcomes and dead letters."""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID, uuid5

from pydantic_core import to_json

from commands.requests import Record, Request
from eventstore import NewEvent, OutboxMessage, encode_headers, shard_of
from messaging import JSON_CONTENT, SOURCE, Message, Unrecoverable, event_headers, format_time
from messaging.aiokafka_fixes.header_names import written_out
from messaging.topics import MEBIBYTE

LONGEST_REASON = 1_000
CLOCK_AHEAD_ATTRIBUTE = "clockahead"
"""Of an outcome: by how many seconds its terminal's clock was ahead of ours, where that was too much."""
# What the topic takes, less the frame of a batch.
LARGEST_DEAD_LETTER = 2 * MEBIBYTE - 1_024
_SOURCE, _CONTENT_TYPE = SOURCE.encode(), JSON_CONTENT.encode()


class TooLarge(Unrecoverable):
    """A record that can't become a dead letter; the text says where it lies and what to do."""


def derived_id(request: Request, name: str) -> str:
    """Return the id of what follows from a command: decided anew after a conflict, it is the same.

    The text of `uuid5(command_id, "tenant:name")` (RFC 9562, version 5), without the two objects on the way.
    """
    seed = request.command_id.bytes + f"{request.tenant_id}:{name}".encode()
    text = hashlib.sha1(seed, usedforsecurity=False).hexdigest()
    variant = "89ab"[int(text[16], 16) & 3]
    return f"{text[:8]}-{text[8:12]}-5{text[13:16]}-{variant}{text[17:20]}-{text[20:32]}"


def outcome_id(request: Request, kind: str, *, reused: bool = False) -> str:
    """Return the id of what a command is answered with: its outcome, or that its id was used before.

    It tells the body, and of an outcome also the time, that it answers. So whoever has sent the command knows
    its outcome from one of another body under its id, or of a copy that came first.
    """
    answered = request.fingerprint.hex()
    return derived_id(request, f"{kind}:{answered}" if reused else f"{kind}:{answered}:{request.occurred_at}")


def event_message(
    topic: str,
    request: Request,
    event: NewEvent,
    *,
    event_id: str,
    message_type: str,
    aggregate_id: str,
    version: int,
    recorded_at: datetime,
    compensated: Mapping[str, Sequence[int]],
) -> OutboxMessage:
    """Return the message of one new event; `compensated` names the versions it undoes or redoes."""
    key = aggregate_id.encode()
    headers = event_headers(
        event_id=event_id,
        message_type=message_type,
        aggregate_id=aggregate_id,
        tenant_id=request.tenant_id,
        actor=request.actor,
        version=version,
        schema_version=event.schema_version,
        occurred_at=event.occurred_at,
        recorded_at=recorded_at,
        correlation_id=request.correlation_id,
        causation_id=request.command_ref,
        metadata=compensated,
    )
    return OutboxMessage(topic, key, encode_headers(headers), event.payload.encode(), shard_of(key))


def outcome_content(
    request: Request,
    type_prefix: str,
    kind: str,
    data: Mapping[str, Any],
    at: datetime,
    *,
    reused: bool = False,
) -> tuple[str, bytes]:
    """Return the headers (as the outbox keeps them) and the value of the message that answers a command.

    `reused` tells that another body has used the command's id before. A terminal's clock that was too far
    ahead at that time is told among the headers.
    """
    headers = [
        ("ce_specversion", b"1.0"),
        ("ce_id", outcome_id(request, kind, reused=reused).encode()),
        ("ce_source", _SOURCE),
        ("ce_type", f"{type_prefix}{kind}".encode()),
        ("ce_time", format_time(at)),
        ("content-type", _CONTENT_TYPE),
        ("ce_tenantid", request.tenant_id.encode()),
        ("ce_correlationid", request.correlation_id.encode()),
        ("ce_causationid", request.command_ref.encode()),
    ]
    if request.subject is not None:
        headers.append(("ce_subject", request.subject.encode()))
    if (ahead := request.clock_ahead(at)) is not None:
        headers.append((f"ce_{CLOCK_AHEAD_ATTRIBUTE}", str(ahead).encode()))
    return encode_headers(headers), to_json(data)


def outcome_message(topic: str, request: Request, headers: str, value: bytes) -> OutboxMessage:
    """Return the message that answers `request`; its key is the subject, or without one the command id."""
    key = (request.subject or request.command_ref).encode()
    return OutboxMessage(topic, key, headers, value, shard_of(key))


def dead_letter(topic: str, record: Record, reason: str) -> OutboxMessage:
    """Return a record whole, as it was received, with where it came from and why as further headers.

    Its id derives from the place it was read at, so a repeat after a crash has the same one. Nothing needs to
    be cut: a topic of commands takes records of up to 1 MiB, the dead letters twice that, and only the reason
    is ours to bound. A header's name that is not UTF-8 can't be sent as it was: its odd bytes are written in
    hexadecimal, or where that makes the letter too large, each as `?`. Raises TooLarge for a record that a
    topic with other settings has let in.
    """
    place = f"{record.topic}/{record.partition}/{record.offset}"
    ours = [
        ("deadletter_id", str(uuid5(UUID(int=0), place)).encode()),
        ("deadletter_topic", record.topic.encode()),
        ("deadletter_partition", str(record.partition).encode()),
        ("deadletter_offset", str(record.offset).encode()),
        ("deadletter_reason", reason[:LONGEST_REASON].encode(errors="replace")),
    ]
    for sendable in (written_out, _masked):
        headers = [*((sendable(name), value) for name, value in record.headers), *ours]
        if (size := Message(topic, record.key, headers, record.value).size()) <= LARGEST_DEAD_LETTER:
            break
    else:
        raise TooLarge(
            f"{place} would need {size:,} bytes on {topic}, which takes {LARGEST_DEAD_LETTER:,}: keep it"
            f" elsewhere, and give {record.topic} the settings compression.type=uncompressed and"
            f" max.message.bytes={MEBIBYTE}"
        )
    return OutboxMessage(
        topic, record.key, encode_headers(headers), record.value, shard_of(record.key or b"")
    )


def _masked(name: str) -> str:
    return name.encode(errors="replace").decode()
