"""Brings a database and a Kafka cluster to what the services expect."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from urllib.parse import unquote, urlsplit, urlunsplit

import asyncpg
from aiokafka.errors import ClusterAuthorizationFailedError, KafkaError, TopicAuthorizationFailedError
from pydantic import SecretStr

from commands import CONTEXTS
from eventstore import MigrationRefused, end_forgotten_transactions, migrate, set_passwords
from messaging import KafkaConnection, TopicSetting, differing_settings, ensure_topics, mend_settings
from operations.errors import OperationRefused
from runtime import ReadOnlyServer, Servers, Settings, SharedSession, take_session

CONNECT_TIMEOUT = 30.0


@dataclass(frozen=True)
class Migrated:
    """What was missing and has been made, and the topics' settings that are not as they must be.

    `mended` tells whether these have been set right.
    """

    database: str
    migrations: list[str]
    passwords: list[str]
    topics: list[str]
    differing: list[TopicSetting]
    mended: bool


async def migrate_all(
    settings: Settings, admin_dsn: str, passwords: Mapping[str, str], *, mend_topics: bool = False
) -> Migrated:
    """Make the database, its schema and roles, and the topics, as far as they are missing.

    `admin_dsn` names the database and a superuser; `passwords` (role → password) are set. The read models'
    tables are each projector's own to make. Topics that others made keep their settings unless `mend_topics`.
    Doing it again changes nothing. Raises OperationRefused.
    """
    try:
        return await _migrate(settings, admin_dsn, passwords, mend_topics=mend_topics)
    except (TopicAuthorizationFailedError, ClusterAuthorizationFailedError) as error:
        raise OperationRefused(
            "may_not_change_topics",
            f"The Kafka user {settings.kafka_sasl_username} may not do that to topics: {error}.",
        ) from error
    except MigrationRefused as error:
        raise OperationRefused(
            "database_of_another_build", f"The database is not this build's: {error}."
        ) from error
    except (
        asyncpg.PostgresError,
        asyncpg.InterfaceError,
        KafkaError,
        OSError,
        ReadOnlyServer,
        SharedSession,
    ) as error:
        raise OperationRefused(
            "migration_failed", f"Migrating failed: {error or type(error).__name__}."
        ) from error


async def _migrate(
    settings: Settings, admin_dsn: str, passwords: Mapping[str, str], *, mend_topics: bool
) -> Migrated:
    name = unquote(urlsplit(admin_dsn).path[1:])
    await _ensure_database(admin_dsn, name)
    connection = await _connected(admin_dsn)
    try:
        migrations = await migrate(connection)
        await end_forgotten_transactions(connection)
        await set_passwords(connection, passwords)
    finally:
        await connection.close()
    kafka, made = KafkaConnection.of(settings), list[str]()
    differing: list[TopicSetting] = []
    for context in CONTEXTS.values():
        topics = context.topics(settings.topic_prefix)
        made += await ensure_topics(kafka, topics)
        # All contexts have the dead letters in common.
        told = {*made, *(setting.topic for setting in differing)}
        differing += await differing_settings(kafka, topics, topics.configurations().keys() - told)
    if differing and mend_topics:
        await mend_settings(kafka, differing)
    return Migrated(name, migrations, sorted(passwords), made, differing, mend_topics)


async def _connected(dsn: str) -> asyncpg.Connection:
    settle = partial(take_session, settings={"timezone": "UTC"}, to_write=True)
    return await Servers(SecretStr(dsn)).connect(settle, within=CONNECT_TIMEOUT, to_write=True)


async def _ensure_database(admin_dsn: str, name: str) -> None:
    connection = await _connected(urlunsplit(urlsplit(admin_dsn)._replace(path="/postgres")))
    try:
        if await connection.fetchval("SELECT true FROM pg_database WHERE datname = $1", name):
            return
        quoted = await connection.fetchval("SELECT quote_ident($1)", name)
        await connection.execute(f"CREATE DATABASE {quoted}")
    finally:
        await connection.close()
