"""Which port of 127.0.0.1 a server takes: the one it had, the usual one, or a free one."""

import fcntl
import functools
import os
import random
import socket
import tempfile
from pathlib import Path

# Below the range that Linux gives to outgoing connections, so that none of those takes the port meanwhile.
_FIRST, _LAST = 15_000, 32_000


def is_free(port: int) -> bool:
    """Say whether a server could listen on this port of 127.0.0.1 now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # As servers do: connections of a server that has just ended don't count as taking the port.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
            probe.listen(1)
        except OSError:
            return False
        return True


def free_port(usual: int | None = None) -> int:
    """Give the usual port when it is free, else any free one; no other process of ours is given it meanwhile.

    Without that, two that start at the same time are given the same port, and one takes the other's server
    for its own.
    """
    if usual is not None and _take(usual):
        return usual
    while True:
        port = random.randint(_FIRST, _LAST)  # noqa: S311 - no secret
        if _take(port):
            return port


def kept_port(file: Path, usual: int) -> int:
    """Give the port that `file` names when it is free, else a free one, and write that to the file.

    A server that comes back on its old port is found by clients that kept the address.
    """
    try:
        kept = int(file.read_text())
    except (FileNotFoundError, ValueError):
        kept = usual
    port = kept if _take(kept) else free_port(usual)
    file.write_text(f"{port}\n")
    return port


def _take(port: int) -> bool:
    """Reserve a free port for this process, as long as it lives; say whether it was to be had."""
    if not is_free(port):
        return False
    try:
        fcntl.lockf(_reservations(), fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
    except BlockingIOError:
        return False
    return True


@functools.cache
def _reservations() -> int:
    """Return the open file whose byte N, locked, is port N reserved; closed only by the process's end."""
    file = Path(tempfile.gettempdir()) / f"tillstream-ports-{os.getuid()}"
    return os.open(file, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
