"""What till itself reads: TILLSTREAM_* of the environment, else what `till up` left in .tillstream."""

from collections.abc import Mapping

from pydantic import Field, SecretStr
from pydantic_settings import SettingsConfigDict

from operations import Unreachable
from runtime import DatabaseUrl, Settings, read_settings

TILL_ENV = ".tillstream/till.env"


class TillSettings(Settings):
    """A service's settings (`database_url` is the role query's), and what only an operator may know."""

    model_config = SettingsConfigDict(env_file=TILL_ENV, env_file_encoding="utf-8")

    # The role operator's: for the verbs that pause, replay, rebuild, verify and decide on dead letters.
    operator_database_url: DatabaseUrl | None = None
    # The role analyst's, for `till psql`.
    analyst_database_url: DatabaseUrl | None = None
    # A superuser's, or a role's that may create databases and roles: for `till migrate` alone.
    admin_database_url: DatabaseUrl | None = None
    # Role → password, for `till migrate` to set; roles not named keep theirs.
    role_passwords: Mapping[str, SecretStr] = Field(default_factory=dict)


def till_settings() -> TillSettings:
    """Read the settings. Raises WrongSettings, and Unreachable when nothing says where the servers are."""
    settings = read_settings(TillSettings)
    if not {"kafka_bootstrap_servers", "database_url"} & settings.model_fields_set:
        raise Unreachable("Nothing is up here: neither the environment nor .tillstream names servers.")
    return settings
