"""The folder .tillstream: which file is where, and the secrets that are made once."""

import json
import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from shlex import quote

from eventstore import LOGIN_ROLES


class Home:
    """The folder that holds all that runs here; everything in it is private to its owner."""

    def __init__(self, folder: Path = Path(".tillstream")) -> None:
        """Take the folder; it need not be there yet."""
        self.folder = folder.absolute()
        self.logs = self.folder / "logs"
        self.postgres = self.folder / "postgres"
        self.kafka = self.folder / "kafka"
        self.config = self.folder / "supervisord.conf"
        self.state = self.folder / "state.json"
        # For other people's clients, and for till itself; both only while everything is up.
        self.client_env = self.folder / "env"
        self.till_env = self.folder / "till.env"

    def make(self) -> None:
        """Make the folder where it is missing."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.logs.mkdir(exist_ok=True)

    def write_private(self, file: Path, text: str) -> None:
        """Replace a file's content in one step; only the owner may read it."""
        with self._private(file.with_suffix(".new")) as descriptor:
            os.write(descriptor, text.encode())
        file.with_suffix(".new").rename(file)

    def write_env(self, file: Path, variables: Mapping[str, str]) -> None:
        """Write variables so that a shell and a dotenv reader take them alike."""
        self.write_private(file, "".join(f"{name}={quote(value)}\n" for name, value in variables.items()))

    def role_passwords(self) -> dict[str, str]:
        """Give the passwords of the roles that services log in with: made at first, then kept."""
        file = self.folder / "passwords.json"
        known: dict[str, str] = json.loads(file.read_text()) if file.exists() else {}
        passwords = {role: known.get(role) or secrets.token_hex(24) for role in LOGIN_ROLES}
        self.write_private(file, json.dumps(passwords))
        return passwords

    @staticmethod
    @contextmanager
    def _private(file: Path) -> Iterator[int]:
        file.unlink(missing_ok=True)
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            yield descriptor
        finally:
            os.close(descriptor)
