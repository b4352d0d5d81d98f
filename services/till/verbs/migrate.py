from dataclasses import asdict
from typing import Annotated, Any

import typer

from operations import recorded
from operations.migration import Migrated, migrate_all
from till.connecting import admin_connection, operator_name, run
from till.errors import TillError
from till.output import Output, OutputOption, notices, print_json
from till.settings import TillSettings, till_settings


def migrate(
    *,
    mend_topics: Annotated[
        bool, typer.Option("--mend-topics", help="Set topics right that are not as they must be.")
    ] = False,
    output: OutputOption = Output.table,
) -> None:
    """Make the database, its schema and roles, and the topics, as far as they are missing.

    Exits with 1 where a topic's settings are not as they must be, and tells each with what mends it.
    """
    settings = till_settings()
    if settings.admin_database_url is None:
        raise TillError(
            "Migrating needs a superuser's address.", "Set TILLSTREAM_ADMIN_DATABASE_URL, or use `till up`."
        )
    dsn = settings.admin_database_url.get_secret_value()
    made = run(_migrate(settings, dsn, mend_topics=mend_topics))
    if output is Output.json:
        print_json(_document(made))
    else:
        _print(made)
    if made.differing and not made.mended:
        raise typer.Exit(1)


async def _migrate(settings: TillSettings, admin_dsn: str, *, mend_topics: bool) -> Migrated:
    """Migrate, and record what was made: at the end, for before the first time there is nowhere to."""
    passwords = {role: secret.get_secret_value() for role, secret in settings.role_passwords.items()}
    made = await migrate_all(settings, admin_dsn, passwords, mend_topics=mend_topics)
    if made.migrations or made.passwords or made.topics or (made.differing and made.mended):
        async with (
            admin_connection(settings) as connection,
            recorded(connection, operator_name(), "migrate", {}) as action,
        ):
            action.details.update(_document(made))
    return made


def _document(made: Migrated) -> dict[str, Any]:
    settings = [{**setting._asdict(), "fix": setting.fix} for setting in made.differing]
    return {**asdict(made), "differing": settings}


def _print(made: Migrated) -> None:
    notices.print(f"Migrations: {', '.join(made.migrations) or 'none missing'}.")
    notices.print(f"Topics: {', '.join(made.topics) or 'none missing'}.")
    for setting in made.differing:
        notices.print(f"{'Mended' if made.mended else 'Wrong'}: {setting}.", highlight=False, soft_wrap=True)
        if not made.mended:
            notices.print(f"    till kafka {setting.fix}", highlight=False, soft_wrap=True)
    if made.differing and not made.mended:
        notices.print("`till migrate --mend-topics` sets all of them right.", highlight=False)
