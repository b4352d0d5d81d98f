"""What one tenant may hold at a time."""

import asyncio
from contextlib import AsyncExitStack

import pytest

from query_service.limits import TenantShare
from query_service.problems import Problem


async def test_a_tenant_waits_for_its_own_and_for_nobody_elses(monkeypatch: pytest.MonkeyPatch) -> None:
    """One too many waits until another of the tenant lets go; other tenants have their own share."""
    share = TenantShare(2)
    entered: list[str] = []

    async def hold(name: str) -> None:
        async with share.hold("store-1"):
            entered.append(name)

    async with AsyncExitStack() as held:
        async with share.hold("store-1"):
            await held.enter_async_context(share.hold("store-1"))
            waiting = asyncio.create_task(hold("waits"))
            async with share.hold("store-2"):
                entered.append("other")
            assert entered == ["other"]
        await waiting
        assert entered == ["other", "waits"]

        monkeypatch.setattr("query_service.limits.SHARE_TIMEOUT", 0.05)
        async with share.hold("store-1"):
            with pytest.raises(Problem) as caught:
                await hold("too many")
        assert (caught.value.status, caught.value.headers) == (429, {"Retry-After": "1"})


async def test_nothing_is_kept_of_tenants_that_hold_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """When the last request of a tenant has ended, with or without its share, the tenant is forgotten."""
    monkeypatch.setattr("query_service.limits.SHARE_TIMEOUT", 0.05)
    share = TenantShare(1)

    async def request() -> None:
        async with share.hold("store-1"):
            await asyncio.sleep(0.2)

    ended = await asyncio.gather(*(request() for _ in range(3)), return_exceptions=True)
    assert [type(each) for each in ended] == [type(None), Problem, Problem]
    assert not share._shares
