"""What makes a local server a secured one: certificates, users, and on Kafka who may do everything."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

_MODULE = "org.apache.kafka.common.security.scram.ScramLoginModule"


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
    """TLS and SCRAM-SHA-512 for all clients, and ACLs by the StandardAuthorizer.

    `users` gives each user's password, without commas. `super_user` is held to no ACL, and so is the node
    itself, by the common name of its certificate: `node`.
    """

    tls: Tls
    users: Mapping[str, str] = field(repr=False)
    super_user: str
    node: str = "kafka"

    def settings(self, address: str, controller: str, broker: str) -> dict[str, object]:
        """Give the broker's settings for three listeners: clients', the controller's, and between brokers.

        The last two are the node's own: they take nobody without a certificate of the authority.
        """
        mutual = ("controller", "broker")
        return {
            "listeners": f"SASL_SSL://{address},CONTROLLER://{controller},BROKER://{broker}",
            "listener.security.protocol.map": "SASL_SSL:SASL_SSL,CONTROLLER:SSL,BROKER:SSL",
            "inter.broker.listener.name": "BROKER",
            "sasl.enabled.mechanisms": "SCRAM-SHA-512",
            "listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config": f"{_MODULE} required;",
            "ssl.truststore.type": "PEM",
            "ssl.truststore.location": self.tls.ca_file,
            "ssl.keystore.type": "PEM",
            "ssl.keystore.certificate.chain": self.tls.certificate_file.read_text(),
            "ssl.keystore.key": self.tls.key_file.read_text(),
            **{f"listener.name.{name}.ssl.client.auth": "required" for name in mutual},
            "ssl.principal.mapping.rules": "RULE:^(?:.*,)?CN=([^,]+).*$/$1/,DEFAULT",
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "super.users": f"User:{self.node};User:{self.super_user}",
        }

    def format_arguments(self) -> list[str]:
        """Give what `kafka-storage format` makes the users from; it holds their passwords."""
        return [
            part
            for name, password in self.users.items()
            for part in ("--add-scram", f"SCRAM-SHA-512=[name={name},password={password}]")
        ]
