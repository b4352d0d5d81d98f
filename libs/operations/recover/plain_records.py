"""Reads records of the usual form at speed; whatever has another form is left to who knows all of them.

A recovery reads millions of records. What our relay sends has the same headers in the same order, and what a
client sends names tenant and command in plain headers: both are told by a few operations on the whole.
"""

import re
from datetime import datetime
from typing import Final

import jiter
from pydantic_core import to_json

from commands import ACCEPTED, COMMAND_ID_REUSED
from messaging.attributes import EARLIEST, LATEST, LONGEST_CORRELATION_ID, LONGEST_ID
from operations.recover.lost_messages import (
    CommandKey,
    Record,
    TopicEvent,
    TopicOutcome,
    array_text,
    place_of,
)

_ID = r"([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})"
_TEXT = rf"([^\0]{{1,{LONGEST_ID}}})"
_TIME = r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{6})?Z)"
_NUMBER = r"([1-9]\d{0,8})"
_CORRELATION_ID = rf"([^\0]{{1,{LONGEST_CORRELATION_ID}}})"
_EVENT: Final = {
    "ce_specversion": r"1\.0",
    "ce_id": _ID,
    "ce_source": "tillstream",
    "ce_type": _TEXT,
    "ce_subject": _ID,
    "ce_time": _TIME,
    "content-type": "application/json",
    "ce_tenantid": _TEXT,
    "ce_actor": _TEXT,
    "ce_version": _NUMBER,
    "ce_schemaversion": _NUMBER,
    "ce_recordedtime": _TIME,
    "ce_correlationid": _CORRELATION_ID,
    "ce_causationid": _ID,
}
_OUTCOME: Final = {
    "ce_specversion": r"1\.0",
    "ce_id": _ID,
    "ce_source": "tillstream",
    "ce_type": _TEXT,
    "ce_time": _TIME,
    "content-type": "application/json",
    "ce_tenantid": _TEXT,
    "ce_correlationid": _CORRELATION_ID,
    "ce_causationid": _ID,
    "ce_subject": _ID,
}
_COMMAND_ID: Final = re.compile(_ID)


class _Form:
    """Headers in their order, each with what its value looks like."""

    def __init__(self, form: dict[str, str]) -> None:
        self._names = tuple(form)
        self._values = re.compile("\0".join(form.values()), re.ASCII)

    def read(self, record: Record) -> tuple[str, ...] | None:
        """Return what the form asks for of a record's headers; None where they have another form."""
        headers = record.headers
        if tuple([name for name, _ in headers]) != self._names:
            return None
        try:
            found = self._values.fullmatch(b"\0".join([value for _, value in headers]).decode())
        except (TypeError, UnicodeDecodeError):
            return None
        return found and found.groups()


_EVENT_FORM, _OUTCOME_FORM = _Form(_EVENT), _Form(_OUTCOME)


def plain_event(record: Record, type_prefix: str) -> TopicEvent | None:
    """Read an event as our relay sends one that takes nothing back; None for whatever else it may be."""
    value, found = record.value, _EVENT_FORM.read(record)
    if found is None or not value:
        return None
    event_id, message_type, order_id, occurred, tenant_id, actor, version, schema_version, recorded, *ids = (
        found
    )
    correlation_id, causation_id = ids
    if not (message_type + tenant_id + actor + correlation_id).isprintable():
        return None
    try:
        jiter.from_json(value, allow_inf_nan=False, catch_duplicate_keys=True, float_mode="decimal")
    except ValueError:
        return None
    if not (_is_time(occurred) and _is_time(recorded)):
        return None
    metadata = {"actor": actor, "correlation_id": correlation_id, "causation_id": causation_id}
    return TopicEvent(
        tenant_id,
        order_id,
        version,
        event_id,
        message_type.removeprefix(type_prefix),
        schema_version,
        value.decode(),
        to_json(metadata).decode(),
        occurred,
        recorded,
        place_of(record),
        causation_id,
    )


def plain_outcome(record: Record, headers: str) -> TopicOutcome | None:
    """Read an outcome as our relay sends one; None for whatever else it may be.

    The headers are given as they are stored too.
    """
    value, found = record.value, _OUTCOME_FORM.read(record)
    if found is None or not value:
        return None
    _, message_type, decided, tenant_id, _, causation_id, order_id = found
    if not (message_type + tenant_id).isprintable() or not _is_time(decided):
        return None
    accepted = message_type.endswith(f".{ACCEPTED}")
    try:
        match jiter.from_json(value):
            case {"version": int(version), "event_ids": list(ids)} if accepted:
                if not all(map(_COMMAND_ID.fullmatch, ids)):
                    return None
                says: tuple[str | None, str | None, str] = (None, str(version), array_text(ids))
            case {"code": str(code)} if not accepted and code != COMMAND_ID_REUSED and code.isprintable():
                says = (code, None, "{}")
            case _:
                return None
    except (TypeError, ValueError):
        return None
    return TopicOutcome(tenant_id, causation_id, order_id, decided, *says, headers, value)


def plain_name(record: Record, id_header: str = "ce_id") -> CommandKey | None:
    """Read which command a record in binary mode is of, or answers; None for whatever is not plain to see."""
    headers = record.headers
    values = dict(headers)
    names = "".join(values)
    # Twice the same, or in another spelling: which of them counts is for others to say.
    if len(values) != len(headers) or not names.isascii() or names != names.lower():
        return None
    tenant, command = values.get("ce_tenantid"), values.get(id_header)
    if values.get("content-type") != b"application/json" or tenant is None or command is None:
        return None
    try:
        tenant_id, command_id = tenant.decode(), command.decode()
    except UnicodeDecodeError:
        return None
    if not (1 <= len(tenant_id) <= LONGEST_ID and tenant_id.isprintable()):
        return None
    return (tenant_id, command_id) if _COMMAND_ID.fullmatch(command_id) else None


def _is_time(text: str) -> bool:
    try:
        return EARLIEST <= datetime.fromisoformat(text) < LATEST
    except ValueError:
        return False
