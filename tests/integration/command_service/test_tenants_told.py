"""What is set for tenants, as analysts read it."""

from datetime import time
from typing import Any

import asyncpg
from pydantic import SecretStr

from commands import tell_tenants
from harness.servers import FreshDatabase
from runtime import Database, TenantSettings

BERLIN = TenantSettings(time_zone="Europe/Berlin", day_ends_at="04:00")
BANGKOK = TenantSettings(time_zone="Asia/Bangkok", refuse_clock_ahead=True, clock_ahead_limit=60)


async def test_analysts_read_what_is_set_for_tenants(database: FreshDatabase) -> None:
    """The view tells the settings of the command service that started last, and since when each is so."""
    service = Database(SecretStr(database.dsn("command_service")), "test")
    analyst = await asyncpg.connect(database.dsn("analyst"))

    async def told() -> dict[str, tuple[Any, ...]]:
        rows = await analyst.fetch("SELECT * FROM read_models.tenants ORDER BY tenant_id")
        return {row[0]: tuple(row)[1:] for row in rows}

    try:
        await service.use(lambda conn: tell_tenants(conn, {"bar": BERLIN, "shop": BANGKOK}))
        first = await told()
        assert {tenant: row[:-1] for tenant, row in first.items()} == {
            "bar": ("Europe/Berlin", time(4), 300, False),
            "shop": ("Asia/Bangkok", time(0), 60, True),
        }
        await service.use(lambda conn: tell_tenants(conn, {"bar": BERLIN, "cafe": BANGKOK}))
        second = await told()
        assert list(second) == ["bar", "cafe"]
        assert second["bar"] == first["bar"]
        await service.use(lambda conn: tell_tenants(conn, {"bar": BANGKOK}))
        (changed,) = (await told()).values()
        assert changed[0] == "Asia/Bangkok"
        assert changed[-1] > first["bar"][-1]
    finally:
        await analyst.close()
        await service.close()
