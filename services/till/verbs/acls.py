from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from messaging import Acl, AppliedAcls, KafkaConnection, read_acls
from operations.permissions import give_permissions
from till.connecting import acting_without_database, run
from till.errors import TillError
from till.output import Output, OutputOption, notices, print_json
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
    applied = run(_apply(where, file, wanted))
    if output is Output.json:
        print_json(applied._asdict())
        return
    for line in applied.made:
        notices.print(f"New: {line}", highlight=False)
    for line in applied.beside:
        notices.print(f"Not from the file: {line}", highlight=False)
    notices.print(f"{len(wanted) - len(applied.made)} were there.")


async def _apply(where: TillSettings, file: Path, wanted: Sequence[Acl]) -> AppliedAcls:
    async with acting_without_database(where, "acls", {"file": str(file)}) as details:
        applied = await give_permissions(KafkaConnection.of(where), wanted)
        details["made"] = applied.made
        return applied
