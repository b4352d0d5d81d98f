"""A service whose processes start at once, for a test that kills many.

    python tests/faults/forking.py SERVICE [ARGUMENT…]

It imports the service once and forks a process of it for each line that it reads; it answers with the
process's id. What is forked is a process like any other: a kill -9 takes it alone, and leaves it no time.
"""

import importlib
import os
import signal
import sys


def main() -> None:
    """Fork for each line of standard input, until it ends."""
    service, *arguments = sys.argv[1:]
    app = importlib.import_module(f"{service}.app")
    # Whoever dies is gone at once: nobody waits for it here.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    for _ in sys.stdin:
        forked = os.fork()
        if forked == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            sys.argv[:] = [service, *arguments]
            app.main()
            sys.exit(0)
        sys.stdout.write(f"{forked}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
