import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from local.home import Home
from local.supervisor import MARK, Supervisor, end_orphans

Sleeper = Callable[[dict[str, str]], subprocess.Popen[bytes]]


@pytest.fixture
def sleeper() -> Iterator[Sleeper]:
    """Start processes that do nothing for long, with variables more in their environment."""
    started: list[subprocess.Popen[bytes]] = []

    def start(variables: dict[str, str]) -> subprocess.Popen[bytes]:
        started.append(subprocess.Popen(["sleep", "600"], env={**os.environ, **variables}))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()


def test_only_processes_of_this_folder_are_ended(tmp_path: Path, sleeper: Sleeper) -> None:
    """What a killed supervisor of this folder left is ended; another folder's and strangers live on."""
    home = Home(tmp_path / "one")
    ours = sleeper({MARK: str(home.folder)})
    others = [sleeper({MARK: str(tmp_path / "two")}), sleeper({})]
    assert end_orphans(home) == ["sleep"]
    ours.wait(10)
    assert all(process.poll() is None for process in others)
    assert end_orphans(home) == []


def test_a_pid_that_is_somebody_elses_by_now_is_not_taken_for_the_supervisor(
    tmp_path: Path, sleeper: Sleeper
) -> None:
    """After a reboot or a crash the noted pid may be any process: its start time tells."""
    home = Home(tmp_path / "one")
    home.make()
    stranger = sleeper({})
    home.write_private(
        home.state,
        f'{{"pid": {stranger.pid}, "started": 1.0, "port": 1, "password": "", "addresses": {{}}}}',
    )
    assert Supervisor.running(home) is None
    home.write_private(home.state, "half a fi")
    assert Supervisor.running(home) is None
