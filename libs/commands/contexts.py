"""The contexts that there are. A new one is added here; CONTRIBUTING.md says what else it needs."""

from typing import Any

import orders
from commands.context import Context
from eventstore import EventStore

ORDERS = Context("orders", EventStore(orders.ORDER), orders, "command_service")

CONTEXTS: dict[str, Context[Any]] = {context.name: context for context in (ORDERS,)}
"""Context name → context; the services, the topics' making and the checks go by this list."""
