"""What makes a local server a secured one: certificates, users, and on Kafka who may do everything."""

import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

_MODULES = "org.apache.kafka.common.security"


@dataclass(frozen=True, slots=True)
class Tls:
    """A server's PEM files: its authority's certificate, its own chain, and its key (PKCS#8, not encrypted).

    The certificate is for the address 127.0.0.1.
    """

    ca_file: Path
    certificate_file: Path
    key_file: Path

    def client_context(self) -> ssl.SSLContext:
        """Give a context for a client that trusts the authority."""
        return ssl.create_default_context(cafile=self.ca_file)


@dataclass(frozen=True, slots=True)
class KafkaSecurity:
    """TLS for all clients, each a user by password or by certificate, and ACLs by the StandardAuthorizer.

    `passwords` gives the mechanisms of the server's port (PLAIN and those of SCRAM), and for each its users'
    passwords, of letters and digits. `certificate_port` takes clients that show a certificate of the
    authority: its common name is the user. `super_user` is held to no ACL, and so is the node itself, by the
    common name of its own certificate: `node`.
    """

    tls: Tls
    passwords: Mapping[str, Mapping[str, str]] = field(repr=False)
    super_user: str
    certificate_port: int
    node: str = "kafka"

    def settings(self, address: str, controller: str, broker: str) -> dict[str, object]:
        """Give the broker's settings for its listeners: two for clients, the controller's, and the brokers'.

        All but the first take nobody without a certificate of the authority.
        """
        mutual = {"SSL": f"127.0.0.1:{self.certificate_port}", "CONTROLLER": controller, "BROKER": broker}
        listeners = {"SASL_SSL": address, **mutual}
        return {
            "listeners": ",".join(f"{name}://{at}" for name, at in listeners.items()),
            "listener.security.protocol.map": "SASL_SSL:SASL_SSL,SSL:SSL,CONTROLLER:SSL,BROKER:SSL",
            "inter.broker.listener.name": "BROKER",
            "sasl.enabled.mechanisms": ",".join(self.passwords),
            **{
                f"listener.name.sasl_ssl.{mechanism.lower()}.sasl.jaas.config": self._login(mechanism)
                for mechanism in self.passwords
            },
            "ssl.truststore.type": "PEM",
            "ssl.truststore.location": self.tls.ca_file,
            "ssl.keystore.type": "PEM",
            "ssl.keystore.certificate.chain": self.tls.certificate_file.read_text(),
            "ssl.keystore.key": self.tls.key_file.read_text(),
            **{f"listener.name.{name.lower()}.ssl.client.auth": "required" for name in mutual},
            "ssl.principal.mapping.rules": "RULE:^(?:.*,)?CN=([^,]+).*$/$1/,DEFAULT",
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "super.users": f"User:{self.node};User:{self.super_user}",
        }

    def _login(self, mechanism: str) -> str:
        """Give the JAAS text: Kafka keeps SCRAM's users itself, those of PLAIN stand here."""
        if mechanism != "PLAIN":
            return f"{_MODULES}.scram.ScramLoginModule required;"
        users = " ".join(f'user_{name}="{password}"' for name, password in self.passwords["PLAIN"].items())
        return f"{_MODULES}.plain.PlainLoginModule required {users};"

    def format_arguments(self) -> list[str]:
        """Give what `kafka-storage format` makes the users of SCRAM from; it holds their passwords."""
        return [
            part
            for mechanism, users in self.passwords.items()
            if mechanism != "PLAIN"
            for name, password in users.items()
            for part in ("--add-scram", f"{mechanism}=[name={name},password={password}]")
        ]
