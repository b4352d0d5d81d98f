"""Kafka's jars: downloaded once per user, and only ever used when they are the ones the lock names."""

import fcntl
import hashlib
import json
import logging
import shutil
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from typing import NamedTuple

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from local.servers.errors import ChecksumError, DownloadError
from local.servers.parts import package_folder

LOCK_FILE = "kafka.lock"
_DOWNLOADS_AT_A_TIME = 6
_TRIES = 3
_TIMEOUT_SECONDS = 30
_MARKER = "verified.json"
Advance = Callable[[int], None]


class Artifact(NamedTuple):
    """One jar of the lock: what it has to be, and its Maven coordinate `group:name:version`."""

    sha256: str
    size: int
    coordinate: str

    @property
    def filename(self) -> str:
        """The jar's name in the folder and in the registry."""
        _, name, version = self.coordinate.split(":")
        return f"{name}-{version}.jar"


def locked_artifacts(lock: str | None = None) -> tuple[Artifact, ...]:
    """Read the lock's text (this package's own when not given): one line a jar, `sha256 size coordinate`."""
    text = (resources.files("local.servers") / LOCK_FILE).read_text() if lock is None else lock
    lines = (line.split() for line in text.splitlines() if line and not line.startswith("#"))
    return tuple(Artifact(sha256, int(size), coordinate) for sha256, size, coordinate in lines)


def kafka_jars(artifacts: Sequence[Artifact] | None = None, cache: Path | None = None) -> Path:
    """Give the folder that holds exactly the locked jars, after downloading them if need be.

    All checkouts of a user share it, and processes that ask at the same time download once. Files that have
    not changed since they were verified are not read again. Raises DownloadError, ChecksumError or, without
    the extra `local`, MissingPartError.
    """
    wanted = locked_artifacts() if artifacts is None else artifacts
    cache = _user_cache() if cache is None else cache
    # Named by content: a renewed lock gets another folder, and an older checkout keeps its own.
    names = "\n".join(f"{artifact.sha256} {artifact.filename}" for artifact in wanted)
    folder = cache / f"kafka-{hashlib.sha256(names.encode()).hexdigest()[:16]}"
    if not _is_unchanged(folder):
        cache.mkdir(parents=True, exist_ok=True)
        with _lock(cache / f"{folder.name}.lock"):
            if folder.exists():
                _verify(folder, wanted)
            else:
                part = folder.with_suffix(".part")
                _fill(part, wanted)
                _verify(part, wanted)
                part.rename(folder)
    return folder


def sha256_of(file: Path) -> str:
    """Give a file's SHA-256 in hexadecimal."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _user_cache() -> Path:
    package_folder("platformdirs", "platformdirs")
    from platformdirs import user_cache_path  # noqa: PLC0415 - of the extra `local`, which till runs without too

    return user_cache_path("tillstream")


def _state(folder: Path) -> dict[str, list[int]]:
    """Give size and time of change of each file: what changes when somebody touches one."""
    files = ((file.name, file.stat()) for file in folder.iterdir() if file.name != _MARKER)
    return {name: [stat.st_size, stat.st_mtime_ns] for name, stat in sorted(files)}


def _is_unchanged(folder: Path) -> bool:
    try:
        return bool(json.loads((folder / _MARKER).read_text()) == _state(folder))
    except (FileNotFoundError, ValueError):
        return False


def _verify(folder: Path, wanted: Sequence[Artifact]) -> None:
    """Read every jar and compare; then note what the folder looks like. Raises ChecksumError."""
    sums = {artifact.filename: artifact.sha256 for artifact in wanted}
    names = {file.name for file in folder.iterdir() if file.name != _MARKER}
    # The classpath takes every jar of the folder, so one too many is as bad as a wrong one.
    odd = sorted(
        (names ^ sums.keys())
        | {name for name in names & sums.keys() if sha256_of(folder / name) != sums[name]}
    )
    if odd:
        raise ChecksumError(
            f"Not the files that {LOCK_FILE} names: {', '.join(odd)} in {folder}.",
            f"Delete {folder} and try again: the jars are then downloaded anew.",
        )
    (folder / _MARKER).write_text(json.dumps(_state(folder)))


def _fill(folder: Path, wanted: Sequence[Artifact]) -> None:
    """Download into `folder` what it doesn't hold yet: an interrupted download goes on where it was."""
    folder.mkdir(exist_ok=True)
    # jgo warns of a sum that differs from the registry's own; ours are the ones that count, and stop us.
    logging.getLogger("jgo").setLevel(logging.ERROR)
    scratch = folder / "scratch"
    shutil.rmtree(scratch, ignore_errors=True)
    with Progress(
        TextColumn("[bold]{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
    ) as progress:
        task = progress.add_task("Kafka (once)", total=sum(artifact.size for artifact in wanted))

        def fetch(artifact: Artifact) -> None:
            target = folder / artifact.filename
            if not target.exists():
                jar = _download(artifact, scratch, lambda count: progress.advance(task, count))
                _check(jar, artifact)
                jar.rename(target)
            else:
                progress.advance(task, artifact.size)

        with ThreadPoolExecutor(_DOWNLOADS_AT_A_TIME) as pool:
            for done in [pool.submit(fetch, artifact) for artifact in wanted]:
                try:
                    done.result()
                except BaseException:
                    pool.shutdown(cancel_futures=True)
                    raise
    shutil.rmtree(scratch, ignore_errors=True)


def _download(artifact: Artifact, scratch: Path, advance: Advance) -> Path:
    """Download one jar and give its place under `scratch`. Raises DownloadError."""
    # Of the extra `local`, and slow: imported only where there is something to download.
    import requests  # noqa: PLC0415
    from jgo.maven import MavenContext, PythonResolver  # noqa: PLC0415

    got = 0

    def count(size: int) -> None:
        nonlocal got
        got += size
        advance(size)

    @contextmanager
    def counting(_name: str, _size: int) -> Iterator[Advance]:
        yield count

    resolver = PythonResolver(progress_callback=counting)
    context = MavenContext(resolver, repo_cache=scratch, local_repos=[], timeout=_TIMEOUT_SECONDS)
    group, name, version = artifact.coordinate.split(":")
    wanted = context.project(group, name).at_version(version).artifact()
    jar = wanted.cached_path or scratch / artifact.filename
    for attempt in range(1, _TRIES + 1):
        try:
            resolver.download(wanted)
        except (requests.RequestException, RuntimeError, OSError) as error:
            if attempt == _TRIES:
                raise DownloadError(
                    f"{artifact.coordinate} could not be downloaded: {error}",
                    "Check the network and try again: what has come already is kept.",
                ) from error
            # jgo refuses to write over the beginning of a file.
            jar.unlink(missing_ok=True)
            advance(-got)
            got = 0
        else:
            break
    return jar


def _check(jar: Path, artifact: Artifact) -> None:
    if (found := sha256_of(jar)) != artifact.sha256:
        raise ChecksumError(
            f"{artifact.coordinate} has the SHA-256 {found}, not {artifact.sha256} as in {LOCK_FILE}.",
            "Don't use it. Try again; if it stays so, ask who changed the registry's file.",
        )


@contextmanager
def _lock(file: Path) -> Iterator[None]:
    """Hold `file` locked; another process that wants it waits. The lock ends with the process."""
    with file.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
