"""Waits until programs answer, and says what is wrong when they don't."""

import http.client
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from local.home import Home
from local.programs import Program
from local.servers import LocalServer, LocalServerError
from local.supervisor import Supervisor

# Far more than it takes: a busy machine is no failure.
_READY_SECONDS = 180.0
_POLL_SECONDS = 0.1


def wait_for_servers(supervisor: Supervisor, home: Home, servers: Sequence[LocalServer]) -> None:
    """Return when every server answers. Raises LocalServerError when one has given up or time is over."""
    _wait(supervisor, home, {server.name: partial(_server_problem, server) for server in servers})


def wait_for_services(supervisor: Supervisor, home: Home, services: Sequence[Program]) -> None:
    """Return when every service is ready. Raises LocalServerError when one has given up or time is over."""
    _wait(supervisor, home, {service.name: partial(_service_problem, service) for service in services})


def _wait(supervisor: Supervisor, home: Home, checks: Mapping[str, Callable[[], str | None]]) -> None:
    deadline = time.monotonic() + _READY_SECONDS
    waiting = set(checks)
    while waiting:
        problems = {name: problem for name in sorted(waiting) if (problem := checks[name]()) is not None}
        waiting = set(problems)
        states = supervisor.states()
        for name, problem in problems.items():
            log = home.logs / f"{name}.log"
            advice = f"Read {log}; `till down` and `till up` start afresh and keep the data."
            if states.get(name) == "FATAL":
                raise LocalServerError(f"{name} does not start: {_last_line(log)}", advice)
            if time.monotonic() > deadline:
                raise LocalServerError(
                    f"{name} is not ready after {_READY_SECONDS:.0f} s: {problem}.", advice
                )
        if not supervisor.is_alive():
            raise LocalServerError("supervisord has ended.", f"Read {home.logs / 'supervisord.log'}.")
        time.sleep(_POLL_SECONDS if waiting else 0)


def _server_problem(server: LocalServer) -> str | None:
    return None if server.is_ready() else "it does not answer"


def _service_problem(service: Program) -> str | None:
    """Say what keeps a service from being ready, in its own words where it has some."""
    connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=5)
    try:
        connection.request("GET", "/readyz")
        response = connection.getresponse()
        body = response.read()
    except (OSError, http.client.HTTPException):
        return "it does not answer"
    finally:
        connection.close()
    if response.status == http.client.OK:
        return None
    return body.decode(errors="replace")


def _last_line(log: Path) -> str:
    lines = log.read_text(errors="replace").splitlines() if log.exists() else []
    return next((line.strip() for line in reversed(lines) if line.strip()), "it wrote nothing")[:500]
