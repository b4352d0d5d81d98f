from __future__ import annotations

import asyncio
from dataclasses import asdict

from till.errors import TillError
from till.local.migration import migrate_all
from till.output import Output, OutputOption, notices, print_json
from till.settings import till_settings


def migrate(output: OutputOption = Output.table) -> None:
    """Make the database, its schema and roles, and the topics, as far as they are missing."""
    settings = till_settings()
    if settings.admin_database_url is None:
        raise TillError(
            "Migrating needs a superuser's address.", "Set TILLSTREAM_ADMIN_DATABASE_URL, or use `till up`."
        )
    made = asyncio.run(migrate_all(settings, settings.admin_database_url.get_secret_value()))
    if output is Output.json:
        print_json(asdict(made))
        return
    notices.print(f"Migrations: {', '.join(made.migrations) or 'none missing'}.")
    notices.print(f"Topics: {', '.join(made.topics) or 'none missing'}.")
