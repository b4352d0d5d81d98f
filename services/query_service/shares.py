"""What one tenant may hold of what all tenants share."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from query_service.problems import Problem

# How long whoever comes while the share is taken waits for it.
PATIENCE = 5.0
_REFUSAL = "Other questions of the tenant take all that one tenant may have of the database; try again."


class _Share(asyncio.Semaphore):
    """One tenant's; `users` hold some of it or wait."""

    users = 0


class TenantShare:
    """Bounds what each tenant holds at a time."""

    def __init__(self, per_tenant: int) -> None:
        self._per_tenant = per_tenant
        # There are no more of them than there are requests: a share goes with its last user.
        self._shares: dict[str, _Share] = {}

    @asynccontextmanager
    async def hold(self, tenant: str) -> AsyncIterator[None]:
        """Hold one while the body runs. Raises Problem (429) when there is none for `PATIENCE` seconds."""
        share = self._shares.setdefault(tenant, _Share(self._per_tenant))
        share.users += 1
        try:
            try:
                async with asyncio.timeout(PATIENCE):
                    await share.acquire()
            except TimeoutError:
                raise Problem.of("too-many-requests", _REFUSAL, headers={"Retry-After": "1"}) from None
            try:
                yield
            finally:
                share.release()
        finally:
            share.users -= 1
            if not share.users:
                del self._shares[tenant]
