"""Which port of 127.0.0.1 a server takes: the one it had, the usual one, or a free one."""

import random
import socket
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
    """Give the usual port when it is free, else any free one."""
    if usual is not None and is_free(usual):
        return usual
    while True:
        # Drawn, not counted up, so that servers started at the same time seldom want the same one.
        port = random.randint(_FIRST, _LAST)  # noqa: S311 - no secret
        if is_free(port):
            return port


def kept_port(file: Path, usual: int) -> int:
    """Give the port that `file` names when it is free, else a free one, and write that to the file.

    A server that comes back on its old port is found by clients that kept the address.
    """
    try:
        kept = int(file.read_text())
    except (FileNotFoundError, ValueError):
        kept = usual
    port = free_port(kept if is_free(kept) else usual)
    file.write_text(f"{port}\n")
    return port
