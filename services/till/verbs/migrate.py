from __future__ import annotations

from dataclasses import asdict

from operations import recorded
from operations.migration import Migrated, migrate_all
from till.connecting import admin_connection, operator_name, run
from till.errors import TillError
from till.output import Output, OutputOption, notices, print_json
from till.settings import TillSettings, till_settings


def migrate(output: OutputOption = Output.table) -> None:
    """Make the database, its schema and roles, and the topics, as far as they are missing."""
    settings = till_settings()
    if settings.admin_database_url is None:
        raise TillError(
            "Migrating needs a superuser's address.", "Set TILLSTREAM_ADMIN_DATABASE_URL, or use `till up`."
        )
    made = run(_migrate(settings, settings.admin_database_url.get_secret_value()))
    if output is Output.json:
        print_json(asdict(made))
        return
    notices.print(f"Migrations: {', '.join(made.migrations) or 'none missing'}.")
    notices.print(f"Topics: {', '.join(made.topics) or 'none missing'}.")


async def _migrate(settings: TillSettings, admin_dsn: str) -> Migrated:
    """Migrate, and record what was made: at the end, for before the first time there is nowhere to."""
    passwords = {role: secret.get_secret_value() for role, secret in settings.role_passwords.items()}
    made = await migrate_all(settings, admin_dsn, passwords)
    if made.migrations or made.passwords or made.topics:
        async with (
            admin_connection(settings) as connection,
            recorded(connection, operator_name(), "migrate", {}) as action,
        ):
            action.details.update(asdict(made))
    return made
