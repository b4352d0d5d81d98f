"""Whoever a request comes from."""

from enum import StrEnum
from typing import NamedTuple


class Role(StrEnum):
    """What somebody is to a tenant; `permissions.PERMISSIONS` says what they may do."""

    CASHIER = "cashier"
    MANAGER = "manager"
    AUDITOR = "auditor"
    OPERATOR = "operator"


class Caller(NamedTuple):
    """A checked identity. `expires_at` is in seconds of the epoch; None where it doesn't expire."""

    tenant: str
    actor: str
    role: Role
    expires_at: float | None
    development: bool = False
