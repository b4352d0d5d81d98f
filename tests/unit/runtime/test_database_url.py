"""The addresses of PostgreSQL that settings take, and what the refused ones don't tell."""

import pytest
from pydantic import ValidationError

from runtime import Settings


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://tillstream_projector:s3cret%2F%40@db:5432/tillstream?sslmode=verify-full",
        "postgres://user@[::1]:5432/tillstream",
        "postgresql://user:word@db-1:5432,db-2:5432/tillstream",
        "postgresql:///tillstream",
        "postgresql://user:word@db-1:5432,db-2/tillstream?target_session_attrs=read-write",
    ],
)
def test_an_address_of_postgresql_is_taken(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    """One host or several, by name or number, with a password that is percent-encoded."""
    monkeypatch.setenv("TILLSTREAM_DATABASE_URL", url)
    assert Settings().database_url.get_secret_value() == url


@pytest.mark.parametrize("password", ["gehe/im", "gehe#im", "gehe?im", "gehe@im", "gehe]im"])
def test_a_password_that_would_be_taken_apart_is_refused_unseen(
    monkeypatch: pytest.MonkeyPatch, password: str
) -> None:
    """A password with an unescaped delimiter is refused by the setting's name, and no part of it is told."""
    monkeypatch.setenv("TILLSTREAM_DATABASE_URL", f"postgresql://user:{password}@db:5432/tillstream")
    with pytest.raises(ValidationError) as raised:
        Settings()
    told = f"{raised.value} {raised.value!r}"
    assert "database_url" in told
    assert "percent-encode" in told
    assert "gehe" not in told
    assert "im@" not in told


def test_an_unknown_kind_of_server_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A misspelt `target_session_attrs` is refused with what there is, and no password is told."""
    url = "postgresql://user:s3cret@db-1,db-2/tillstream?target_session_attrs=readwrite"
    monkeypatch.setenv("TILLSTREAM_DATABASE_URL", url)
    with pytest.raises(ValidationError, match="prefer-standby, primary, read-only, read-write") as raised:
        Settings()
    assert "s3cret" not in f"{raised.value!r}"
