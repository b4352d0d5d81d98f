"""The settings of a secured Kafka, which are only right together."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from runtime import Settings

SASL = {
    "kafka_security_protocol": "SASL_SSL",
    "kafka_sasl_username": "projector",
    "kafka_sasl_password": "hunter2",
}


@pytest.fixture
def pem(tmp_path: Path) -> str:
    """Give a file that is there."""
    (tmp_path / "some.pem").touch()
    return str(tmp_path / "some.pem")


def set_all(monkeypatch: pytest.MonkeyPatch, settings: dict[str, str]) -> None:
    for name, value in settings.items():
        monkeypatch.setenv(f"TILLSTREAM_{name.upper()}", value)


def test_a_complete_secured_connection_is_taken(monkeypatch: pytest.MonkeyPatch, pem: str) -> None:
    """SASL over TLS with a user, a password and the authority's certificate is what it says."""
    set_all(monkeypatch, {**SASL, "kafka_ssl_ca_file": pem})
    settings = Settings()
    assert (settings.kafka_security_protocol, settings.kafka_sasl_mechanism) == ("SASL_SSL", "SCRAM-SHA-512")
    assert settings.kafka_ssl_ca_file == Path(pem)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"kafka_sasl_password": ""}, "TILLSTREAM_KAFKA_SASL_PASSWORD is needed"),
        ({"kafka_sasl_username": ""}, "TILLSTREAM_KAFKA_SASL_USERNAME is needed"),
        ({"kafka_sasl_password": "grün"}, "TILLSTREAM_KAFKA_SASL_PASSWORD must be printable ASCII"),
        ({"kafka_sasl_mechanism": "OAUTHBEARER"}, "kafka_sasl_mechanism"),
        ({"kafka_security_protocol": "TLS"}, "kafka_security_protocol"),
        ({"kafka_security_protocol": "PLAINTEXT"}, "TILLSTREAM_KAFKA_SASL_USERNAME is set"),
        ({"kafka_security_protocol": "SSL"}, "TILLSTREAM_KAFKA_SASL_USERNAME is set"),
        ({"kafka_security_protocol": "SASL_PLAINTEXT", "kafka_sasl_mechanism": "PLAIN"}, "unencrypted"),
        ({"kafka_ssl_ca_file": "/nowhere/ca.pem"}, "kafka_ssl_ca_file"),
    ],
)
def test_settings_that_do_not_fit_are_named(
    monkeypatch: pytest.MonkeyPatch, change: dict[str, str], named: str
) -> None:
    """What is missing, unknown or unsafe stops the start, by the name of the setting and not its secret."""
    set_all(monkeypatch, {**SASL, **change})
    with pytest.raises(ValidationError, match=named) as refused:
        Settings()
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize("name", ["ca", "certificate", "key"])
def test_certificates_need_tls(monkeypatch: pytest.MonkeyPatch, pem: str, name: str) -> None:
    """A certificate beside an unencrypted protocol is a mistake, and refused."""
    monkeypatch.setenv(f"TILLSTREAM_KAFKA_SSL_{name.upper()}_FILE", pem)
    with pytest.raises(ValidationError, match=f"TILLSTREAM_KAFKA_SSL_{name.upper()}_FILE is set"):
        Settings()


@pytest.mark.parametrize("name", ["certificate", "key"])
def test_a_certificate_and_its_key_go_together(monkeypatch: pytest.MonkeyPatch, pem: str, name: str) -> None:
    """A client's certificate without its key, or the key alone, is refused."""
    set_all(monkeypatch, {"kafka_security_protocol": "SSL", f"kafka_ssl_{name}_file": pem})
    with pytest.raises(ValidationError, match="CERTIFICATE_FILE and TILLSTREAM_KAFKA_SSL_KEY_FILE"):
        Settings()
