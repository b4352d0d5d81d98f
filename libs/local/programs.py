"""What runs: each program's command and environment, and the supervisor's file of them."""

import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from local.servers import LocalServer, dying_with_parent

SERVICES = "services"

# Restarts: a program that ends within 3 s is started again after 1 s, then 2 s, 3 s …, at most 20 times; one
# that ran longer is started again at once.
_PROGRAM = """
[program:{name}]
command={command}
environment={environment}
directory={directory}
autostart={autostart}
autorestart=true
startsecs=3
startretries=20
priority={priority}
stopsignal={stop_signal}
stopwaitsecs=30
redirect_stderr=true
stdout_logfile={log}
stdout_logfile_maxbytes=10MB
stdout_logfile_backups=3
"""
# No socket in the file system: its path must be shorter than many a checkout's.
_SUPERVISOR = """
[supervisord]
nodaemon=true
silent=true
pidfile={folder}/supervisord.pid
logfile={logs}/supervisord.log
logfile_maxbytes=10MB
logfile_backups=3
childlogdir={logs}
{user}
[inet_http_server]
port=127.0.0.1:{port}
username=till
password={password}

[rpcinterface:supervisor]
supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface

[supervisorctl]
serverurl=http://127.0.0.1:{port}
username=till
password={password}
"""
# One group, so that the services are stopped together, and all before the servers.
_GROUP = """
[group:{name}]
programs={programs}
priority=20
"""


@dataclass(frozen=True)
class Program:
    """One supervised program; services speak HTTP on `port`, servers their own protocol."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str] = field(repr=False)
    port: int
    stop_signal: str = "TERM"
    is_server: bool = False

    @property
    def address(self) -> str:
        """Where it answers."""
        return f"127.0.0.1:{self.port}" if self.is_server else f"http://127.0.0.1:{self.port}"


def server_program(server: LocalServer) -> Program:
    """Give the program that runs a prepared server."""
    return Program(
        server.name, server.command(), server.environment(), server.port, server.stop_signal.name[3:], True
    )


def service_program(module: str, arguments: Sequence[str], port: int, settings: Mapping[str, str]) -> Program:
    """Give the program that runs a service, named by its module and arguments."""
    command = dying_with_parent([sys.executable, "-m", module, *arguments])
    environment = {**settings, "TILLSTREAM_HTTP_PORT": str(port), "PYTHONUNBUFFERED": "1"}
    return Program(module, command, environment, port)


def supervisor_config(
    folder: Path, logs: Path, programs: Sequence[Program], *, port: int, password: str, user: str | None
) -> str:
    """Write supervisord's file. It holds the programs' secrets: keep it private."""
    parts = [
        _SUPERVISOR.format(
            folder=_literal(folder),
            logs=_literal(logs),
            port=port,
            password=password,
            # Said aloud, else supervisord warns that root is nobody's intention.
            user=f"user={user}\n" if user else "",
        )
    ]
    for priority, program in enumerate(programs, start=1):
        environment = ",".join(f'{name}="{_literal(value)}"' for name, value in program.environment.items())
        parts.append(
            _PROGRAM.format(
                name=program.name,
                command=_literal(shlex.join(program.command)),
                environment=environment,
                directory=_literal(folder.parent),
                autostart=str(program.is_server).lower(),
                priority=priority,
                stop_signal=program.stop_signal,
                log=_literal(logs / f"{program.name}.log"),
            )
        )
    services = ",".join(program.name for program in programs if not program.is_server)
    parts.append(_GROUP.format(name=SERVICES, programs=services))
    return "".join(parts)


def _literal(value: object) -> str:
    """Keep supervisord from expanding what looks like its %(variables)s."""
    return str(value).replace("%", "%%")
