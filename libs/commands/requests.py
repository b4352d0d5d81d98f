"""From a Kafka record to a request: a command to decide, one to refuse, or a record that names no command."""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from functools import partial
from typing import Any, NamedTuple, TypeAlias
from uuid import UUID

from aiokafka import ConsumerRecord

from commands.context import Context
from eventstore import Outcome
from messaging import Attributes, Envelope, InvalidAttribute, Undecodable, open_envelope
from messaging.attributes import LONGEST_CORRELATION_ID, LONGEST_SOURCE
from runtime import UNNAMED_TENANT, TenantSettings

Record: TypeAlias = ConsumerRecord[bytes, bytes]

# The codes of what is refused here: each domain has them among its own.
MALFORMED, BAD_KEY, COMMAND_ID_REUSED = "malformed", "bad_key", "command_id_reused"
WRONG_PARTITION = "wrong_partition"
CLOCK_AHEAD = "clock_ahead"

# Of a record that tells no source: no source is empty.
NO_SOURCE = ""

LARGEST_VALUE = 64 * 1024
"""Bytes of a command's value: its fields need far less, and a megabyte of JSON can take seconds to parse."""
_SECOND = timedelta(seconds=1)


class NamesNoCommand(ValueError):
    """A record without a readable command id and tenant: nobody could be answered. The text says why."""


class Request(NamedTuple):
    """One command as received.

    Exactly one of `command` and `refusal` is given: what can be decided, or why it makes no sense. What a
    malformed command doesn't give in readable form is None. `data` is its normalised data, JSON text;
    `command_ref` and `subject` are the command id and the aggregate id as text; `command_type` is the type
    without the context. `command` and `refusal` are the domain's own. `tenant` is what is set for
    the tenant.
    """

    record: Record
    tenant_id: str
    command_id: UUID
    command_ref: str
    subject: str | None
    correlation_id: str
    fingerprint: bytes
    aggregate_id: UUID | None
    command_type: str
    actor: str
    occurred_at: datetime | None
    data: str | None
    command: Any = None
    refusal: Any = None
    tenant: TenantSettings = UNNAMED_TENANT

    def clock_ahead(self, now: datetime) -> int | None:
        """Return by how many seconds the terminal's clock was ahead of ours at a time, if by too many."""
        if self.occurred_at is None:
            return None
        ahead = (self.occurred_at - now) // _SECOND
        return ahead if ahead > self.tenant.clock_ahead_limit else None

    def outcome(self, code: str | None, version: int | None, headers: str, value: bytes) -> Outcome:
        """Return its row: accepted, up to `version`, or refused with `code`; `headers` and `value` answer."""
        return Outcome(
            self.tenant_id,
            self.command_id,
            self.aggregate_id,
            self.command_type,
            self.actor,
            self.data,
            self.occurred_at,
            self.fingerprint,
            code,
            version,
            headers,
            value,
        )


class Named(NamedTuple):
    """What a record must give for its sender to be answered: its command's id and tenant."""

    envelope: Envelope
    tenant_id: str
    command_id: UUID


def read_name(record: Record) -> Named:
    """Read no more of a record of commands than tells whether it names a command.

    The data is parsed only where the name is inside of it, in structured mode. Raises NamesNoCommand.
    """
    try:
        envelope = open_envelope(record.headers, record.value, LARGEST_VALUE)
    except Undecodable as error:
        raise NamesNoCommand(str(error)) from None
    try:
        return Named(envelope, envelope.attributes.text("tenantid"), envelope.attributes.uuid("id"))
    except InvalidAttribute:
        raise NamesNoCommand("; ".join(_wrong(envelope))) from None


def read_source(record: Record) -> str:
    """Return the source of a record that names no command, as far as it can be read, else NO_SOURCE."""
    # Whatever else is wrong with the record. Of what is given twice it is the first.
    headers = (raw for name, raw in record.headers if name.lower() == "ce_source" and raw is not None)
    given = next(headers, None)
    try:
        if given is None:
            attributes = open_envelope(record.headers, record.value, LARGEST_VALUE).attributes
        else:
            attributes = Attributes({"source": given.decode(errors="replace")})
        return attributes.text("source", LONGEST_SOURCE)
    except (Undecodable, InvalidAttribute):
        return NO_SOURCE


def read_request(record: Record, context: Context[Any], tenants: Mapping[str, TenantSettings]) -> Request:
    """Read one record of the context's topic of commands; `tenants` has the settings of those that have any.

    Raises NamesNoCommand for a record that does not name its command id and its tenant.
    """
    return read_named(record, read_name(record), context, tenants)


def read_named(
    record: Record, named: Named, context: Context[Any], tenants: Mapping[str, TenantSettings]
) -> Request:
    """Read a record whose envelope is open already."""
    tenant = tenants.get(named.tenant_id, UNNAMED_TENANT)
    try:
        return _readable(record, named, context, tenant)
    except InvalidAttribute:
        wrong = "; ".join(_wrong(named.envelope, context.type_prefix))
        return _malformed(record, named, context, context.domain.Rejected(MALFORMED, wrong), tenant)
    except Undecodable as error:
        return _malformed(record, named, context, context.domain.Rejected(MALFORMED, str(error)), tenant)
    except context.domain.Rejected as refusal:
        # Its traceback would keep all that was parsed while the batch lasts: garbage collection then takes
        # seconds at a time.
        return _malformed(record, named, context, refusal.with_traceback(None), tenant)


def _readable(record: Record, named: Named, context: Context[Any], tenant: TenantSettings) -> Request:
    envelope, tenant_id, command_id = named
    attributes, domain = envelope.attributes, context.domain
    if envelope.faults:
        raise InvalidAttribute(envelope.faults[0])
    if attributes.get("specversion") != "1.0":
        raise InvalidAttribute("specversion: must be 1.0")
    attributes.text("source", LONGEST_SOURCE)
    aggregate_id = attributes.uuid("subject")
    subject = str(aggregate_id)
    command_type = attributes.text("type")
    if not command_type.startswith(context.type_prefix):
        raise InvalidAttribute(f"type: must begin with {context.type_prefix}")
    actor = attributes.text("actor")
    occurred_at = attributes.time("time")
    expected_version = (
        None if attributes.get("expectedversion") is None else attributes.integer("expectedversion")
    )
    command_ref = str(command_id)
    correlation_id = (
        command_ref
        if attributes.get("correlationid") is None
        else attributes.text("correlationid", LONGEST_CORRELATION_ID)
    )
    short_type = command_type.removeprefix(context.type_prefix)
    parsed = domain.parse_command(short_type, envelope.data())
    data = domain.canonical_json(parsed)
    request = Request(
        record=record,
        tenant_id=tenant_id,
        command_id=command_id,
        command_ref=command_ref,
        subject=subject,
        correlation_id=correlation_id,
        fingerprint=_fingerprint(short_type, subject, actor, expected_version, data.encode()),
        aggregate_id=aggregate_id,
        command_type=short_type,
        actor=actor,
        occurred_at=occurred_at,
        data=data,
        command=domain.Command(
            command_id,
            aggregate_id,
            tenant_id,
            actor,
            occurred_at,
            parsed,
            expected_version,
            tenant.time_zone,
            tenant.day_ends_at,
        ),
        tenant=tenant,
    )
    if record.key == subject.encode() or (record.key or b"").lower() == subject.encode():
        return request
    # Last, so that a copy with another key is known for the same command.
    text = f"the record's key must be the {context.store.tables.aggregate} id, {subject}, as the subject is"
    return request._replace(command=None, refusal=domain.Rejected(BAD_KEY, text))


def _wrong(envelope: Envelope, type_prefix: str = "") -> Mapping[str, None]:
    """Name all that is missing or wrong, once and with its rule: a sender mends it in one go."""
    return dict.fromkeys((*envelope.faults, *_wrong_attributes(envelope.attributes, type_prefix)))


def _wrong_attributes(attributes: Attributes, type_prefix: str) -> Iterator[str]:
    if attributes.get("specversion") != "1.0":
        yield "specversion: must be 1.0"
    reads: list[Callable[[], object]] = [
        partial(attributes.uuid, "id"),
        partial(attributes.text, "source", LONGEST_SOURCE),
        partial(attributes.text, "tenantid"),
        partial(attributes.uuid, "subject"),
        partial(attributes.text, "type"),
        partial(attributes.text, "actor"),
        partial(attributes.time, "time"),
    ]
    if attributes.get("expectedversion") is not None:
        reads.append(partial(attributes.integer, "expectedversion"))
    if attributes.get("correlationid") is not None:
        reads.append(partial(attributes.text, "correlationid", LONGEST_CORRELATION_ID))
    for read in reads:
        try:
            read()
        except InvalidAttribute as error:
            yield str(error)
    command_type = attributes.get("type")
    if command_type is not None and not command_type.startswith(type_prefix):
        yield f"type: must begin with {type_prefix}"


def _malformed(
    record: Record, named: Named, context: Context[Any], refusal: Exception, tenant: TenantSettings
) -> Request:
    """Keep what is readable of a command that makes no sense, for its outcome and the audit trail."""
    envelope, tenant_id, command_id = named
    attributes = envelope.attributes

    def readable(getter: Any, *arguments: Any) -> Any:  # noqa: ANN401 - any attribute
        try:
            return getter(*arguments)
        except InvalidAttribute:
            return None

    command_type = readable(attributes.text, "type") or ""
    command_ref, aggregate_id = str(command_id), readable(attributes.uuid, "subject")
    return Request(
        record=record,
        tenant_id=tenant_id,
        command_id=command_id,
        command_ref=command_ref,
        subject=aggregate_id and str(aggregate_id),
        correlation_id=readable(attributes.text, "correlationid", LONGEST_CORRELATION_ID) or command_ref,
        fingerprint=_fingerprint(
            attributes.get("type"),
            attributes.get("subject") if aggregate_id is None else str(aggregate_id),
            attributes.get("actor"),
            attributes.get("expectedversion"),
            _body(record, envelope) + "".join(envelope.faults).encode(),
        ),
        aggregate_id=aggregate_id,
        command_type=command_type.removeprefix(context.type_prefix),
        actor=readable(attributes.text, "actor") or "",
        occurred_at=readable(attributes.time, "time"),
        data=None,
        refusal=refusal,
        tenant=tenant,
    )


def _body(record: Record, envelope: Envelope) -> bytes:
    """Return what a malformed command carries: the same in both content modes, if it can be read.

    What was parsed already is not parsed again, and what is too large is taken as it is.
    """
    try:
        return json.dumps(envelope.data(), sort_keys=True, default=str).encode()
    except Undecodable:
        return record.value or b""


def _fingerprint(
    command_type: str | None, subject: str | None, actor: str | None, expected: object, body: bytes
) -> bytes:
    """Tell whether two commands of one id are the same: SHA-256 over what they ask for, and who asks."""
    digest = hashlib.sha256()
    for part in (command_type, subject, actor, expected):
        digest.update(b"\0" if part is None else f"\1{part}\0".encode(errors="surrogatepass"))
    digest.update(body)
    return digest.digest()
