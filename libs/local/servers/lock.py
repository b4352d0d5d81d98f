"""Renews the lock of Kafka's jars: `python -m local.servers.lock`, a part of `make lock`."""

import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from jgo.maven import MavenContext

from local.servers.artifacts import LOCK_FILE, Artifact, sha256_of

_VERSION = "4.3.1"
_WANTED = (f"org.apache.kafka:kafka_2.13:{_VERSION}", f"org.apache.kafka:kafka-tools:{_VERSION}")
_DOWNLOADS_AT_A_TIME = 6
_HEADER = "# Kafka's jars: SHA-256, size in bytes, Maven coordinate. Renewed by `make lock`; don't edit.\n"


def main() -> None:
    """Resolve the wanted artifacts, download them, and write their sums beside this file."""
    with tempfile.TemporaryDirectory() as scratch:
        context = MavenContext(repo_cache=Path(scratch), local_repos=[])
        asked, needed = context.resolver.resolve([context.create_dependency(name) for name in _WANTED])
        jars = [dependency.artifact for dependency in (*asked, *needed)]
        # Kafka logs through slf4j, and without this binding, which its own archive also carries, says nothing
        # when it fails. Not resolved with the others: its parent would change the versions that Kafka chose.
        log4j = next(jar.version for jar in jars if jar.artifactId == "log4j-core")
        jars.append(
            context.project("org.apache.logging.log4j", "log4j-slf4j-impl").at_version(log4j).artifact()
        )
        with ThreadPoolExecutor(_DOWNLOADS_AT_A_TIME) as pool:
            files = list(pool.map(lambda jar: jar.resolve(), jars))
        artifacts = [
            Artifact(sha256_of(file), file.stat().st_size, f"{jar.groupId}:{jar.artifactId}:{jar.version}")
            for jar, file in zip(jars, files, strict=True)
        ]
    lines = (" ".join(map(str, artifact)) for artifact in sorted(artifacts, key=lambda one: one.coordinate))
    (Path(__file__).parent / LOCK_FILE).write_text(_HEADER + "".join(f"{line}\n" for line in lines))


if __name__ == "__main__":
    main()
