"""A whole verification, on the record; what keeps it from being one is told beside what was found."""

from collections.abc import Callable, Collection

import asyncpg
from aiokafka.errors import KafkaError

from messaging import KafkaConnection, Topics
from operations.actions import recorded
from operations.errors import CouldNotCheck
from operations.verify.checking import verify_read_models
from operations.verify.findings import Findings
from operations.verify.topic import verify_topic

_UNCHECKABLE = (CouldNotCheck, KafkaError, asyncpg.PostgresError, asyncpg.InterfaceError, OSError)


async def verify(
    conn: asyncpg.Connection,
    kafka: KafkaConnection,
    topics: Topics,
    read_models: Collection[str],
    actor: str,
    *,
    topic: bool,
    patience: float,
    tell: Callable[[str], None],
) -> Findings:
    """Check the log and the named read models against it, and with `topic` the whole topic of events.

    What lags behind is waited for, `patience` seconds at most; `tell` gets how far it is. Raises nothing:
    `Findings.unchecked` says what went wrong.
    """
    findings = Findings()
    arguments = {"read_models": list(read_models), "topic": topic}
    try:
        async with recorded(conn, actor, "verify", arguments) as action:
            try:
                await verify_read_models(
                    conn,
                    kafka,
                    topics,
                    read_models,
                    findings,
                    patience=patience,
                    tell=lambda orders: tell(f"{orders:,} orders"),
                )
                if topic:
                    await verify_topic(
                        conn,
                        kafka,
                        topics,
                        findings,
                        patience=patience,
                        tell=lambda records: tell(f"{records:,} records of {topics.events}"),
                    )
            except _UNCHECKABLE as error:
                findings.unchecked = _reason(error)
                raise
            finally:
                action.details.update(findings.counts())
    except _UNCHECKABLE as error:
        # Also where the connection that should have recorded it is the one that broke.
        findings.unchecked = findings.unchecked or _reason(error)
    return findings


def _reason(error: Exception) -> str:
    return str(error) if isinstance(error, CouldNotCheck) else repr(error)
