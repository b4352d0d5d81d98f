"""Who calls, and what they may do."""

from query_service.access.admission import Admission
from query_service.access.caller import Caller, Role
from query_service.access.permissions import PERMISSIONS
from query_service.access.tokens import InvalidKeys, InvalidToken, TokenChecker

__all__ = [
    "PERMISSIONS",
    "Admission",
    "Caller",
    "InvalidKeys",
    "InvalidToken",
    "Role",
    "TokenChecker",
]
