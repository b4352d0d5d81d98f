"""A command from its record to what is stored and sent for it: read, decided, answered. No I/O.

The command service does this with what comes in; `till recover` with what a restored database has lost.
"""

from commands.context import Context
from commands.contexts import CONTEXTS, ORDERS
from commands.deciding import (
    ACCEPTED,
    DEAD_LETTERED,
    REJECTED,
    REPEATED,
    UNKNOWN_FINGERPRINT,
    Decided,
    Deciding,
)
from commands.elsewhere import SourceElsewhere, count_elsewhere, read_elsewhere
from commands.holds import Hold, SetAside
from commands.messages import (
    CLOCK_AHEAD_ATTRIBUTE,
    LARGEST_DEAD_LETTER,
    LONGEST_REASON,
    TooLarge,
    dead_letter,
    derived_id,
    outcome_content,
    outcome_id,
    outcome_message,
)
from commands.requests import (
    COMMAND_ID_REUSED,
    LARGEST_VALUE,
    NO_SOURCE,
    WRONG_PARTITION,
    Named,
    NamesNoCommand,
    Record,
    Request,
    read_name,
    read_named,
    read_request,
    read_source,
)
from commands.tenants import tell_tenants

__all__ = [
    "ACCEPTED",
    "CLOCK_AHEAD_ATTRIBUTE",
    "COMMAND_ID_REUSED",
    "CONTEXTS",
    "DEAD_LETTERED",
    "LARGEST_DEAD_LETTER",
    "LARGEST_VALUE",
    "LONGEST_REASON",
    "NO_SOURCE",
    "ORDERS",
    "REJECTED",
    "REPEATED",
    "UNKNOWN_FINGERPRINT",
    "WRONG_PARTITION",
    "Context",
    "Decided",
    "Deciding",
    "Hold",
    "Named",
    "NamesNoCommand",
    "Record",
    "Request",
    "SetAside",
    "SourceElsewhere",
    "TooLarge",
    "count_elsewhere",
    "dead_letter",
    "derived_id",
    "outcome_content",
    "outcome_id",
    "outcome_message",
    "read_elsewhere",
    "read_name",
    "read_named",
    "read_request",
    "read_source",
    "tell_tenants",
]
