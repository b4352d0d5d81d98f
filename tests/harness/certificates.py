"""Certificates for servers of this machine, from an authority made for the session."""

from pathlib import Path

import trustme
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from local.servers.security import Tls


def issue(folder: Path, name: str, authority: trustme.CA, *hosts: str) -> Tls:
    """Write a certificate for `hosts` (common name: `name`), its key, and the authority's certificate."""
    issued = authority.issue_cert(*hosts, common_name=name)
    files = Tls(folder / "ca.pem", folder / f"{name}.pem", folder / f"{name}.key")
    authority.cert_pem.write_to_path(files.ca_file)
    files.certificate_file.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
    # trustme writes a key in OpenSSL's own form; Kafka reads PKCS#8 only.
    key = load_pem_private_key(issued.private_key_pem.bytes(), None)
    files.key_file.touch(mode=0o600)
    files.key_file.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return files
