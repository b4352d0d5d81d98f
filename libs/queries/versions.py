"""What a question asks of a read model that its first version did not have."""

import asyncpg

from readmodels.generations import live_generations


class EarlierVersion(asyncpg.UndefinedColumnError):
    """The live generation's version lacks what is asked for: after a rollback, or before an upgrade.

    PostgreSQL says so by itself only where a view lacks a column. A view that the live version does not have
    stays on the generation that was live before, whose figures move no more.
    """


async def need_version(conn: asyncpg.Connection, read_model: str, version: int) -> None:
    """Raise EarlierVersion where the live generation of a read model is of a version before this one."""
    live = (await live_generations(conn)).get(read_model)
    if live is not None and live.version < version:
        raise EarlierVersion(
            f"The read model {read_model} is at its version {live.version}, and this question needs version"
            f" {version}, which an upgrade or `till rebuild {read_model}` makes."
        )
