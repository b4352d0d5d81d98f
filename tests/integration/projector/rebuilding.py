"""Asking for builds as an operator does, and following them."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import asyncpg

from integration.projector.processes import Installation, until
from operations import recorded
from operations.rebuild import Build, BuildKind, read_build, request_build
from readmodels import READ_MODELS

_LIVE = "SELECT generation FROM projections.generations WHERE read_model = $1 AND state = 'live'"
_PLACES = """
SELECT next_offset FROM projections.checkpoints JOIN projections.generations USING (read_model, generation)
WHERE read_model = $1 AND state = 'live' AND NOT refolding ORDER BY partition
"""
_GENERATIONS = "SELECT generation, state FROM projections.generations WHERE read_model = $1 ORDER BY 1"
_TABLES = """
SELECT relname FROM pg_class
WHERE relnamespace = 'projections'::regnamespace AND relkind = 'r' AND relname LIKE $1 || '%' ORDER BY 1
"""


@dataclass
class Operator:
    """Acts on one installation over the operator's connection, and looks over a superuser's."""

    connection: asyncpg.Connection
    admin: asyncpg.Connection

    async def ask(
        self, name: str, kind: BuildKind = "rebuild", version: int | None = None, **options: Any
    ) -> int:
        """Ask for a build, of this build's version unless another is named, and return its id."""
        version = version or READ_MODELS[name].version
        async with recorded(self.connection, "ann@here", kind, {"read_model": name}) as action:
            return await request_build(self.connection, name, kind, version, action.id, **options)

    async def reach(self, build: int, *states: str) -> Build:
        """Wait until a build is in one of these states; fails when it ends in another."""

        async def reached() -> bool:
            found = await read_build(self.connection, build)
            assert found.state in states or not found.ended, f"{found.state}: {found.error}"
            return found.state in states

        await until(reached, f"build {build} {' or '.join(states)}")
        return await read_build(self.connection, build)

    async def generations(self, name: str) -> dict[int, str]:
        """Return generation → state."""
        return {row["generation"]: row["state"] for row in await self.admin.fetch(_GENERATIONS, name)}

    async def kept(self, name: str, generations: dict[int, str]) -> None:
        """Wait until these are the generations, and there are tables of no others."""

        async def so() -> bool:
            tables = [row["relname"] for row in await self.admin.fetch(_TABLES, name)]
            there = {int(table.removeprefix(f"{name}_").split("_")[0]) for table in tables}
            return await self.generations(name) == generations and there == generations.keys()

        await until(so, f"the generations of {name} are {generations}")

    async def live_level(self, name: str, ends: Sequence[int]) -> None:
        """Wait until the live generation's checkpoints are at these offsets."""

        async def level() -> bool:
            return [row["next_offset"] for row in await self.admin.fetch(_PLACES, name)] == list(ends)

        await until(level, f"{name} at {ends}")


def logged(installation: Installation, name: str, event: str) -> list[dict[str, Any]]:
    """Return what a read model's projectors have logged under a name."""
    lines = installation.output(name).read_text().splitlines()
    found = [json.loads(line) for line in lines if line.startswith("{")]
    return [line for line in found if line.get("event") == event]
