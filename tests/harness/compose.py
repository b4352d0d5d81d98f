"""A whole installation by docker-compose.yml, under names and ports of its own."""

import json
import os
import subprocess
from pathlib import Path
from secrets import token_hex
from types import TracebackType
from typing import Any, Self

from dotenv import dotenv_values

from local.servers import free_port

TOP = Path(__file__).parents[2]
_PATIENCE_SECONDS = 900
# Every process of the container but the one that asks; process 1 is beyond the reach of its own.
_CRASH = "import os, signal; os.kill(-1, signal.SIGKILL)"


class Compose:
    """`docker compose` over the repository's file; everything it made is removed at the end of the block."""

    def __init__(self, folder: Path, key_set: str, issuer: str, audience: str) -> None:
        self.project = f"tillstream-test-{token_hex(4)}"
        self.env_file = folder / ".env"
        subprocess.run([TOP / "deploy" / "compose-env", self.env_file], check=True)
        keys = folder / "jwt-keys.json"
        keys.write_text(key_set)
        with self.env_file.open("a") as file:
            file.write(f"TILLSTREAM_IMAGE={self.project}\n")
            for server in ("POSTGRES", "KAFKA", "QUERY"):
                file.write(f"TILLSTREAM_{server}_PORT={free_port()}\n")
            file.write(f"COMPOSE_PROFILES=query\nTILLSTREAM_JWT_KEYS_FILE={keys}\n")
            file.write(f"TILLSTREAM_JWT_ISSUER={issuer}\nTILLSTREAM_JWT_AUDIENCE={audience}\n")
        self.variables = {name: value or "" for name, value in dotenv_values(self.env_file).items()}

    def run(self, *arguments: str) -> str:
        """Run a command to its end and give its output; fail with all it said when it fails."""
        done = self.attempt(*arguments)
        assert done.returncode == 0, f"{' '.join(arguments)}: {done.stdout[-4000:]}{done.stderr[-4000:]}"
        return done.stdout

    def attempt(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command to its end, however that ends."""
        command = ["docker", "compose", f"--project-name={self.project}", f"--env-file={self.env_file}"]
        return subprocess.run(
            [*command, f"--file={TOP / 'docker-compose.yml'}", *arguments],
            check=False,
            capture_output=True,
            text=True,
            timeout=_PATIENCE_SECONDS,
            # What the person's shell says would win over the file.
            env={name: value for name, value in os.environ.items() if not name.startswith("TILLSTREAM_")},
        )

    def up(self) -> None:
        """Start what does not run, and return when everything is healthy."""
        try:
            self.run("up", "--detach", "--wait", "--quiet-pull")
        except AssertionError as error:
            error.add_note(self.run("ps", "--all") + self.run("logs", "--tail=30", "--no-color"))
            raise

    def crash(self, service: str) -> None:
        """End a service's processes as a fault would: nobody has asked the engine for it."""
        # How this ends says nothing: the container goes under it.
        self.attempt("exec", "--no-TTY", service, "python", "-c", _CRASH)

    def container(self, service: str) -> dict[str, Any]:
        """Give all that the engine knows of a service's container, running or not."""
        container_id = self.run("ps", "--all", "--quiet", service).strip()
        found = subprocess.run(
            ["docker", "inspect", container_id], check=True, capture_output=True, text=True
        )
        (container,) = json.loads(found.stdout)
        return dict(container)

    def image(self) -> str:
        """Give all that the engine tells of the services' image: its settings, and how it was made."""
        image = self.container("command_service")["Image"]
        commands = (["docker", "inspect", image], ["docker", "history", "--no-trunc", image])
        return "".join(
            subprocess.run(command, check=True, capture_output=True, text=True).stdout for command in commands
        )

    def database_url(self, role: str) -> str:
        """Give the database's address on this machine for a role, named without `tillstream_`."""
        password = self.variables[f"TILLSTREAM_{role.upper()}_PASSWORD"]
        port = self.variables["TILLSTREAM_POSTGRES_PORT"]
        user = "postgres" if role == "postgres" else f"tillstream_{role}"
        return f"postgresql://{user}:{password}@127.0.0.1:{port}/tillstream"

    @property
    def query_service(self) -> str:
        """The query service's address on this machine."""
        return f"http://127.0.0.1:{self.variables['TILLSTREAM_QUERY_PORT']}"

    @property
    def bootstrap_servers(self) -> str:
        """Kafka's address on this machine."""
        return f"127.0.0.1:{self.variables['TILLSTREAM_KAFKA_PORT']}"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.run("down", "--volumes", "--remove-orphans", "--timeout=20")
        subprocess.run(["docker", "image", "rm", self.project], check=False, capture_output=True)
