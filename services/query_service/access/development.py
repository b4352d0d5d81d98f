"""The identity of whoever sends no token, on a developer's machine."""

from pydantic_core import PydanticCustomError

from orders import identifier
from query_service.access.caller import Caller, Role

_LOCAL_NAMES = frozenset({"127.0.0.1", "[::1]", "localhost"})


def parse_development_identity(text: str) -> Caller:
    """Return the caller of `tenant:actor:role`. Raises ValueError."""
    parts = text.split(":")
    try:
        tenant, actor, role = parts
        return Caller(identifier(tenant), identifier(actor), Role(role), None, development=True)
    except (ValueError, PydanticCustomError):
        raise ValueError(
            "TILLSTREAM_DEVELOPMENT_IDENTITY is tenant:actor:role, with a role of " + ", ".join(Role)
        ) from None


def is_local_name(host: str | None) -> bool:
    """Tell whether a Host header names this machine by a loopback name, with or without a port.

    A page from elsewhere can have its own name lead here (DNS rebinding), but it can't change the header.
    """
    name = (host or "").lower()
    if not name.endswith("]"):
        name = name.rpartition(":")[0] or name
    return name in _LOCAL_NAMES
