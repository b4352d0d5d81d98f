"""The documents of both interfaces, as Spectral judges them: the linter of OpenAPI and AsyncAPI."""

import shutil
from pathlib import Path

import pytest

from clients.toolchains import SPECTRAL, node, run
from query_service.documents.__main__ import main

# For who runs it the first time it downloads what it needs.
pytestmark = pytest.mark.timeout(600)


def test_spectral_finds_nothing(tmp_path: Path) -> None:
    """Neither document breaks a rule that Spectral recommends, but for those off in `spectral.yaml`."""
    main(tmp_path)
    shutil.copy(SPECTRAL / "spectral.yaml", tmp_path)
    spectral = [node(tmp_path, SPECTRAL), "node_modules/@stoplight/spectral-cli/dist/index.js", "lint"]
    options = ("--ruleset", "spectral.yaml", "--fail-severity", "hint")
    run([*spectral, *options, "openapi.json", "asyncapi.json"], tmp_path, what="Spectral")
