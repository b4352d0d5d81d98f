"""How every client of ours reaches Kafka: the addresses, TLS and who we are."""

import json
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

from aiokafka import AIOKafkaConsumer
from faststream.security import BaseSecurity, SASLPlaintext, SASLScram256, SASLScram512
from pydantic import SecretStr

from runtime import SaslMechanism, SecurityProtocol, Settings

ISOLATION_LEVEL: Final = "read_committed"
"""A sender that takes its transaction back has said nothing: aiokafka would hand it out all the same."""

_NO_PASSWORD = SecretStr("")
_FASTSTREAM = {"SCRAM-SHA-256": SASLScram256, "SCRAM-SHA-512": SASLScram512, "PLAIN": SASLPlaintext}
_SCRAM_MODULE = "org.apache.kafka.common.security.scram.ScramLoginModule"
_PLAIN_MODULE = "org.apache.kafka.common.security.plain.PlainLoginModule"


@dataclass(frozen=True, slots=True)
class KafkaConnection:
    """Where Kafka is (`host:port`, several with commas between) and how it is spoken to.

    Files are PEM and are read for each new client, so that renewed certificates are taken up.
    """

    bootstrap_servers: str
    protocol: SecurityProtocol = "PLAINTEXT"
    mechanism: SaslMechanism = "SCRAM-SHA-512"
    username: str = ""
    password: SecretStr = _NO_PASSWORD
    ca_file: Path | None = None
    certificate_file: Path | None = None
    key_file: Path | None = None

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Take the connection that settings describe."""
        return cls(
            settings.kafka_bootstrap_servers,
            settings.kafka_security_protocol,
            settings.kafka_sasl_mechanism,
            settings.kafka_sasl_username,
            settings.kafka_sasl_password,
            settings.kafka_ssl_ca_file,
            settings.kafka_ssl_certificate_file,
            settings.kafka_ssl_key_file,
        )

    def options(self) -> dict[str, Any]:
        """Give the keyword arguments of aiokafka's clients. Raises OSError for certificates it can't use."""
        options: dict[str, Any] = {
            "bootstrap_servers": self.bootstrap_servers,
            "security_protocol": self.protocol,
            "ssl_context": self._ssl_context(),
        }
        if self._uses_sasl:
            options |= {
                "sasl_mechanism": self.mechanism,
                "sasl_plain_username": self.username,
                "sasl_plain_password": self.password.get_secret_value(),
            }
        return options

    def consumer(self, **options: Any) -> AIOKafkaConsumer:  # noqa: ANN401 - aiokafka's own
        """Give a consumer that reads what was committed, and commits nothing unasked.

        `options` are aiokafka's. Its ends of partitions are the ends of what can be read: before the first
        record of a transaction that is open. Raises OSError for certificates it can't use.
        """
        chosen: dict[str, Any] = {"isolation_level": ISOLATION_LEVEL, "enable_auto_commit": False, **options}
        return AIOKafkaConsumer(**self.options(), **chosen)

    def security(self) -> BaseSecurity:
        """Give FastStream's form of it. Raises OSError for certificates it can't use."""
        context = self._ssl_context()
        if self._uses_sasl:
            return _FASTSTREAM[self.mechanism](self.username, self.password.get_secret_value(), context)
        return BaseSecurity(context)

    def tool_properties(self) -> str:
        """Give the text of a `--command-config` file for Kafka's own tools; it holds the password.

        Their key file must be PKCS#8 and not encrypted. Raises OSError for a file that can't be read.
        """
        properties: dict[str, str] = {"security.protocol": self.protocol}
        if self.ca_file:
            properties["ssl.truststore.type"] = "PEM"
            properties["ssl.truststore.location"] = str(self.ca_file.absolute())
        if self.certificate_file and self.key_file:
            properties["ssl.keystore.type"] = "PEM"
            properties["ssl.keystore.certificate.chain"] = self.certificate_file.read_text()
            properties["ssl.keystore.key"] = self.key_file.read_text()
        if self._uses_sasl:
            module = _PLAIN_MODULE if self.mechanism == "PLAIN" else _SCRAM_MODULE
            name, password = map(_quoted, (self.username, self.password.get_secret_value()))
            properties["sasl.mechanism"] = self.mechanism
            properties["sasl.jaas.config"] = f"{module} required username={name} password={password};"
        # A properties file escapes quotes, backslashes and line ends as JSON does.
        return "".join(f"{name}={json.dumps(value)[1:-1]}\n" for name, value in properties.items())

    @property
    def _uses_sasl(self) -> bool:
        return self.protocol.startswith("SASL")

    def _ssl_context(self) -> ssl.SSLContext | None:
        if not self.protocol.endswith("SSL"):
            return None
        context = ssl.create_default_context(cafile=self.ca_file)
        if self.certificate_file:
            context.load_cert_chain(self.certificate_file, self.key_file)
        return context


def _quoted(value: str) -> str:
    """Write a value as JAAS reads it: in quotes, with backslashes before quotes and backslashes."""
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
