"""Ports that processes of this machine take for their servers."""

import subprocess
import sys

from local.servers import free_port

HOLDER = "import sys; from local.servers import free_port; print(free_port(), flush=True); sys.stdin.read()"


def test_two_processes_are_never_given_one_port() -> None:
    """A port that another process was given is not given again, though no server listens there yet."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdin is not None
        assert holder.stdout is not None
        given = int(holder.stdout.readline())
        assert free_port(given) != given
        holder.stdin.close()
    assert free_port(given) == given
