"""What `make demo` leaves, for all pages: their commands are run on it one page after the other."""

import json
import os
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from jwt.algorithms import OKPAlgorithm

from e2e.documents.shell import Shell

_ROOT = Path(__file__).parents[3]
_BUSINESS_DAYS = _ROOT / "docs" / "business-days.md"
_ISSUER = {"iss": "https://login.example", "aud": "tillstream"}
# A page is read in a window of this width.
_COLUMNS = "110"


@dataclass(frozen=True)
class Reader:
    """Who reads the pages: the installation's folder, the shell's variables, what the demo has printed."""

    folder: Path
    environment: Mapping[str, str]
    demo: str

    def shell(self) -> Shell:
        """Open a shell, as a reader does for a page."""
        return Shell(self.folder, self.environment)


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    """Give a reader who has done `make demo` in another shell, and has a cashier's token."""
    folder = tmp_path_factory.mktemp("reader")
    (folder / ".venv").symlink_to(_ROOT / ".venv")
    # As curl does on a terminal: no progress meter.
    (folder / ".curlrc").write_text("silent\nshow-error\n")
    environment = {
        **os.environ,
        "PATH": f"{_ROOT}/.venv/bin:{os.environ['PATH']}",
        "CURL_HOME": str(folder),
        "LC_ALL": "C.UTF-8",
        "COLUMNS": _COLUMNS,
        "TILLSTREAM_TENANTS": _documented_tenants(),
        **_with_tokens(),
    }
    shell = Shell(folder, environment)
    try:
        status, told = shell.till("up", "--detach")
        assert status == 0, told
        status, demo = shell.till("demo")
        assert status == 0, demo
        yield Reader(folder, environment, demo)
    finally:
        shell.till("down")


def _documented_tenants() -> str:
    """Give the setting that docs/business-days.md shows; the demo has no orders of these tenants."""
    (setting,) = re.findall(r"^TILLSTREAM_TENANTS=(.+)$", _BUSINESS_DAYS.read_text(), re.MULTILINE)
    return str(setting)


def _with_tokens() -> dict[str, str]:
    """Give the settings by which the query service takes an issuer's tokens too, and a cashier's token."""
    key = Ed25519PrivateKey.generate()
    public = {**json.loads(OKPAlgorithm.to_jwk(key.public_key())), "kid": "one", "alg": "EdDSA"}
    claims = {
        **_ISSUER,
        "sub": "anna",
        "tenant": "store-361",
        "role": "cashier",
        "exp": int(time.time()) + 3600,
    }
    return {
        "TILLSTREAM_JWT_KEYS": json.dumps({"keys": [public]}),
        "TILLSTREAM_JWT_ISSUER": _ISSUER["iss"],
        "TILLSTREAM_JWT_AUDIENCE": _ISSUER["aud"],
        # As where none of these is set.
        "TILLSTREAM_DEVELOPMENT_IDENTITY": "store-361:demo:auditor",
        "TOKEN": jwt.encode(claims, key, "EdDSA", headers={"kid": "one"}),
    }
