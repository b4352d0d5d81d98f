import hashlib
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from local.servers import artifacts as jars
from local.servers.artifacts import Artifact, kafka_jars, locked_artifacts
from local.servers.errors import ChecksumError


def made_up(name: str) -> Artifact:
    """Give a jar whose content is its name."""
    content = name.encode()
    return Artifact(hashlib.sha256(content).hexdigest(), len(content), f"org.example:{name}:1")


JARS = (made_up("broker"), made_up("tools"))


class Registry:
    """Stands for the package registry: gives each jar what `contents` says, else its name; counts."""

    def __init__(self) -> None:
        self.contents: dict[str, bytes] = {}
        self.downloads: list[str] = []

    def download(self, artifact: Artifact, scratch: Path, advance: jars.Advance) -> Path:
        """Put the jar where jgo would."""
        name = artifact.coordinate.split(":")[1]
        self.downloads.append(name)
        content = self.contents.get(name, name.encode())
        scratch.mkdir(parents=True, exist_ok=True)
        (scratch / artifact.filename).write_bytes(content)
        advance(len(content))
        return scratch / artifact.filename


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> Registry:
    """Replace the network by a registry of this test's own."""
    registry = Registry()
    monkeypatch.setattr(jars, "_download", registry.download)
    return registry


def test_the_lock_names_each_jar_once() -> None:
    """The committed lock has Kafka, its tools and a binding for its logs, each under a name of its own."""
    locked = locked_artifacts()
    assert {"org.apache.kafka:kafka_2.13:4.3.1", "org.apache.kafka:kafka-tools:4.3.1"} <= {
        artifact.coordinate for artifact in locked
    }
    assert any("log4j-slf4j-impl" in artifact.coordinate for artifact in locked)
    assert len({artifact.filename for artifact in locked}) == len(locked)
    assert all(len(artifact.sha256) == 64 and artifact.size > 0 for artifact in locked)


def test_a_second_call_downloads_nothing(tmp_path: Path, registry: Registry) -> None:
    """What has been downloaded and verified is used again as it is."""
    first = kafka_jars(JARS, tmp_path)
    assert kafka_jars(JARS, tmp_path) == first
    assert sorted(registry.downloads) == ["broker", "tools"]
    assert sorted(file.name for file in first.glob("*.jar")) == ["broker-1.jar", "tools-1.jar"]


def test_another_lock_gets_another_folder(tmp_path: Path, registry: Registry) -> None:
    """A checkout with another lock neither uses nor disturbs the jars of this one."""
    assert kafka_jars(JARS, tmp_path) != kafka_jars(JARS[:1], tmp_path)
    assert sorted(registry.downloads) == ["broker", "broker", "tools"]


def test_a_jar_from_the_registry_that_is_not_the_locked_one_is_refused(
    tmp_path: Path, registry: Registry
) -> None:
    """A registry that gives other bytes than the lock names gives us nothing to run, now or later."""
    registry.contents["tools"] = b"slool"
    for _ in range(2):
        with pytest.raises(ChecksumError, match=r"org\.example:tools:1"):
            kafka_jars(JARS, tmp_path)
    assert registry.downloads.count("broker") == 1, "what was right is kept"
    registry.contents.clear()
    assert kafka_jars(JARS, tmp_path).is_dir()


@pytest.mark.parametrize("tampered", ["tools-1.jar", "added.jar"])
def test_a_jar_changed_or_added_in_the_cache_is_refused(
    tmp_path: Path, registry: Registry, tampered: str
) -> None:
    """A jar that somebody changed (to the same length) or added after the download is found."""
    folder = kafka_jars(JARS, tmp_path)
    (folder / tampered).write_bytes(b"slool")
    with pytest.raises(ChecksumError, match=tampered):
        kafka_jars(JARS, tmp_path)
    assert sorted(registry.downloads) == ["broker", "tools"]


def test_a_jar_that_was_only_touched_is_used(tmp_path: Path, registry: Registry) -> None:
    """A copy of the cache with other times holds the same jars: they are read once more, not downloaded."""
    folder = kafka_jars(JARS, tmp_path)
    (folder / "tools-1.jar").touch()
    assert kafka_jars(JARS, tmp_path) == folder
    assert sorted(registry.downloads) == ["broker", "tools"]


def test_two_that_ask_at_once_download_once(tmp_path: Path, registry: Registry) -> None:
    """Of several that want the jars first, one downloads and the others wait for it."""
    folders: list[Path] = []

    def ask(wanted: Sequence[Artifact]) -> None:
        folders.append(kafka_jars(wanted, tmp_path))

    threads = [threading.Thread(target=ask, args=(JARS,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(folders) == 4
    assert len(set(folders)) == 1
    assert sorted(registry.downloads) == ["broker", "tools"]
