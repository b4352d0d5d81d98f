"""Where the packages of the extra `local` lie."""

import importlib.util
from pathlib import Path

from local.servers.errors import MissingPartError


def package_folder(module: str, package: str) -> Path:
    """Give an installed module's folder without importing it. Raises MissingPartError."""
    spec = importlib.util.find_spec(module)
    if spec is None or spec.origin is None:
        raise MissingPartError(
            f"The package {package} is not installed.", "Run `make setup`: it installs the extra `local`."
        )
    return Path(spec.origin).parent
