from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from aiokafka.errors import ClusterAuthorizationFailedError, KafkaError, SecurityDisabled

from messaging import Acl, AppliedAcls, KafkaConnection, apply_acls, read_acls
from till.connecting import run
from till.errors import NotUpError, TillError
from till.output import Output, OutputOption, notices, print_json
from till.recording import recorded_where_possible
from till.settings import TillSettings, till_settings


def acls(
    file: Annotated[
        Path, typer.Argument(help="Principals and what they may do, such as deploy/kafka-acls.toml.")
    ],
    output: OutputOption = Output.table,
) -> None:
    """Give Kafka's users their permissions, as far as they are missing. Needs a super user of the cluster."""
    where = till_settings()
    try:
        wanted = read_acls(file.read_text(), where.topic_prefix)
    except (OSError, ValueError) as error:
        raise TillError(
            f"{file} is no file of permissions: {error}", "Compare it with the one in deploy/."
        ) from error
    connection = KafkaConnection.of(where)
    try:
        applied = run(_apply(where, connection, file, wanted))
    except ClusterAuthorizationFailedError as error:
        raise TillError(
            f"The Kafka user {connection.username} may not change permissions.",
            "Set TILLSTREAM_KAFKA_SASL_USERNAME and …_PASSWORD to a super user's.",
        ) from error
    except SecurityDisabled as error:
        raise TillError(
            "Kafka has no authorizer, so it lets everybody do everything.",
            "Set authorizer.class.name in the broker's settings; docs/security.md says how.",
        ) from error
    except (KafkaError, OSError) as error:
        raise NotUpError(f"Kafka at {connection.bootstrap_servers} does not answer: {error!r}.") from error
    if output is Output.json:
        print_json(applied._asdict())
        return
    for line in applied.made:
        notices.print(f"New: {line}", highlight=False)
    for line in applied.beside:
        notices.print(f"Not from the file: {line}", highlight=False)
    notices.print(f"{len(wanted) - len(applied.made)} were there.")


async def _apply(
    where: TillSettings, connection: KafkaConnection, file: Path, wanted: Sequence[Acl]
) -> AppliedAcls:
    async with recorded_where_possible(where, "acls", {"file": str(file)}) as details:
        applied = await apply_acls(connection, wanted)
        details["made"] = applied.made
        return applied
