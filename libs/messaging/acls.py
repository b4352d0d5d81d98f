"""Who may do what on Kafka: read from data, and brought onto a cluster.

The codes are those of Kafka's AclOperation, ResourceType, PatternType and AclPermissionType.
"""

import tomllib
from collections.abc import Collection, Sequence
from typing import Annotated, Literal, NamedTuple

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import for_code
from aiokafka.protocol.admin import CreateAclsRequest_v1, DescribeAclsRequest
from aiokafka.protocol.api import Request
from pydantic import StringConstraints, TypeAdapter

from messaging.connection import KafkaConnection
from messaging.refusals import admin_client

Operation = Literal[
    "read", "write", "create", "delete", "alter", "describe", "describe_configs", "alter_configs"
]
Resource = Literal["topic", "group"]

_OPERATIONS: dict[Operation, int] = {
    "read": 3,
    "write": 4,
    "create": 5,
    "delete": 6,
    "alter": 7,
    "describe": 8,
    "describe_configs": 10,
    "alter_configs": 11,
}
_RESOURCES: dict[Resource, int] = {"topic": 2, "group": 3}
_LITERAL, _PREFIXED = 3, 4
_ANY, _ALLOW = 1, 3
_EVERY_HOST = "*"
_EVERYBODY = "User:*"

# principal → operation → resources, such as "topic orders.events" and "group projector.*".
_FILE = TypeAdapter(
    dict[
        Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._-]+$")],
        dict[
            Operation, list[Annotated[str, StringConstraints(pattern=r"^(topic|group) [A-Za-z0-9._-]+\*?$")]]
        ],
    ]
)


class Acl(NamedTuple):
    """One permission: a principal may do an operation on one resource, or on all whose names begin so."""

    principal: str
    operation: Operation
    resource: Resource
    name: str
    prefixed: bool


class AppliedAcls(NamedTuple):
    """What was missing and has been made, and what the cluster allows our principals, or all, beside."""

    made: list[str]
    beside: list[str]


# As Kafka has it: type, name, pattern, principal, host, operation, permission.
_Entry = tuple[int, str, int, str, str, int, int]


class _CreateAcls(Request[CreateAclsRequest_v1]):  # type: ignore[misc] # aiokafka ships no types
    """All at once: aiokafka's own request takes one."""

    API_KEY = CreateAclsRequest_v1.API_KEY

    def __init__(self, entries: Sequence[_Entry]) -> None:
        self._entries = list(entries)

    def build(self, request_struct_class: type[CreateAclsRequest_v1]) -> CreateAclsRequest_v1:
        return request_struct_class(self._entries)


def read_acls(text: str, prefix: str = "") -> list[Acl]:
    """Read the TOML text of permissions, for an installation whose topics and groups begin with `prefix`.

    Raises ValueError that names the place.
    """
    acls = []
    for principal, operations in _FILE.validate_python(tomllib.loads(text)).items():
        for operation, resources in operations.items():
            for each in resources:
                kind, name = each.split()
                resource: Resource = "topic" if kind == "topic" else "group"
                acls.append(
                    Acl(principal, operation, resource, prefix + name.removesuffix("*"), name.endswith("*"))
                )
    return acls


async def apply_acls(kafka: KafkaConnection, acls: Sequence[Acl]) -> AppliedAcls:
    """Make the permissions that are missing; take none away.

    Needs a user that may alter the cluster. Raises KafkaError: ClusterAuthorizationFailedError for another
    user, KafkaRefused for an unknown one, SecurityDisabled where Kafka has no authorizer.
    """
    wanted = {_entry(acl) for acl in acls}
    async with admin_client(kafka) as admin:
        there = await _entries_of(admin, {_EVERYBODY, *(f"User:{acl.principal}" for acl in acls)})
        missing = sorted(wanted - there)
        if missing:
            response = await admin._send_request(_CreateAcls(missing))  # noqa: SLF001 - the one way to send it
            for code, message in response.creation_responses:
                if code:
                    raise for_code(code)(message)
    return AppliedAcls(list(map(_told, missing)), list(map(_told, sorted(there - wanted))))


async def _entries_of(admin: AIOKafkaAdminClient, principals: Collection[str]) -> set[_Entry]:
    response = await admin._send_request(  # noqa: SLF001 - the one way to send it
        DescribeAclsRequest(_ANY, None, _ANY, None, None, _ANY, _ANY)
    )
    if response.error_code:
        raise for_code(response.error_code)(response.error_message)
    return {
        (kind, name, pattern, *entry)
        for kind, name, pattern, entries in response.resources
        for entry in entries
        if entry[0] in principals
    }


def _entry(acl: Acl) -> _Entry:
    pattern = _PREFIXED if acl.prefixed else _LITERAL
    operation = _OPERATIONS[acl.operation]
    return (
        _RESOURCES[acl.resource],
        acl.name,
        pattern,
        f"User:{acl.principal}",
        _EVERY_HOST,
        operation,
        _ALLOW,
    )


def _told(entry: _Entry) -> str:
    kind, name, pattern, principal, host, operation, permission = entry
    resource = next((known for known, code in _RESOURCES.items() if code == kind), f"resource type {kind}")
    verb = next((known for known, code in _OPERATIONS.items() if code == operation), f"operation {operation}")
    end = "*" if pattern == _PREFIXED else ""
    may = "may" if permission == _ALLOW else "may not"
    place = "" if host == _EVERY_HOST else f" from {host}"
    return f"{principal} {may} {verb} {resource} {name}{end}{place}"
