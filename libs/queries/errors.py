"""What is raised where a question has no answer; the texts go on after "the order".

LookupError
├── NoSuchOrder
├── SeveralTenants
└── NoSuchMoment
    ├── NoSuchVersion
    └── NotCreatedYet
"""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import asyncpg

from eventstore import StoredEvent

NotMadeYet = asyncpg.UndefinedTableError
"""The read model that a question is about has no tables yet."""


class NoSuchOrder(LookupError):
    """There is no such order of the tenant, whether or not another tenant has one."""

    def __init__(self) -> None:
        super().__init__("does not exist")


class SeveralTenants(LookupError):
    """Several tenants have an order of this id, and none was named; `tenants` are at least two."""

    def __init__(self, order_id: UUID, tenants: Sequence[str]) -> None:
        super().__init__(f"belongs to {len(tenants)} tenants: {', '.join(tenants)}")
        self.order_id = order_id
        self.tenants = tuple(tenants)


class NoSuchMoment(LookupError):
    """The order exists, but there was none at that version or time."""


class NoSuchVersion(NoSuchMoment):
    """The order has not come to this version."""

    def __init__(self, version: int, newest: int) -> None:
        super().__init__(f"has no version {version}: it is at version {newest}")


class NotCreatedYet(NoSuchMoment):
    """By that time, by that clock, the order did not exist; `first` is its first event."""

    def __init__(self, time: datetime, first: StoredEvent) -> None:
        super().__init__(f"did not exist at {time.isoformat()}")
        self.first = first
