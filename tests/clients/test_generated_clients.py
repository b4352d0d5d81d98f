"""Clients over HTTP that others' generators make of the served OpenAPI document."""

import shutil
from collections.abc import Callable
from pathlib import Path
from uuid import UUID

import httpx
import pytest

from clients.conftest import System
from clients.toolchains import (
    FOLDER,
    GO,
    JAVA,
    JAVASCRIPT,
    go_program,
    java_generator,
    java_program,
    node,
    python_generator,
    run,
)
from orders import COMMAND_TYPES

# For who runs them the first time it downloads what they need, and compiles it.
pytestmark = pytest.mark.timeout(600)
_DOCUMENT = "openapi.json"
_WRITTEN = """
SELECT command_type, version, code FROM command_outcomes WHERE aggregate_id = $1 ORDER BY version
"""
_PARTS = "apis,models,supportingFiles,modelDocs=false,apiDocs=false,modelTests=false,apiTests=false"


def _typescript(folder: Path) -> list[str]:
    """Make types, and check the program against them."""
    shutil.copy(JAVASCRIPT / "commands.mts", folder)
    program, packages = node(folder), folder / "node_modules"
    generator = packages / "openapi-typescript" / "bin" / "cli.js"
    run([program, generator, _DOCUMENT, "-o", "tills.d.ts"], folder, what="openapi-typescript")
    check = ("--noEmit", "--strict", "--exactOptionalPropertyTypes", "--skipLibCheck", "--target", "esnext")
    modules = ("--module", "nodenext", "--allowImportingTsExtensions")
    tsc = packages / "typescript" / "bin" / "tsc"
    run([program, tsc, *check, *modules, "commands.mts"], folder, what="TypeScript's compiler")
    return [program, "--no-warnings", "commands.mts"]


def _python(folder: Path) -> list[str]:
    shutil.copy(FOLDER / "python" / "commands.py", folder)
    generate = ("generate", "--path", _DOCUMENT, "--meta", "none", "--output-path", "tills")
    programs = python_generator()
    run([programs / "openapi-python-client", *generate], folder, what="openapi-python-client")
    # What the generator needs has all that its clients need.
    return [str(programs / "python"), "commands.py"]


def _generate(folder: Path, language: str, **options: str) -> Path:
    """Give the folder of what openapi-generator makes."""
    given = ",".join(f"{name}={value}" for name, value in options.items())
    command = [*java_generator(), "generate", "-g", language, "-i", _DOCUMENT, "-o", "made"]
    command += ["--additional-properties", given, "--global-property", _PARTS]
    run(command, folder, what="openapi-generator")
    return folder / "made"


def _java(folder: Path) -> list[str]:
    packages = {"invokerPackage": "tills", "apiPackage": "tills.api", "modelPackage": "tills.model"}
    more = {"openApiNullable": "false", "useJakartaEe": "true"}
    made = _generate(folder, "java", library="native", **packages, **more)
    return java_program(folder, JAVA / "Commands.java", *(made / "src" / "main").rglob("*.java"))


def _go(folder: Path) -> list[str]:
    made = _generate(folder, "go", packageName="tills", withGoMod="false")
    (folder / "tills").mkdir()
    for source in made.glob("*.go"):
        source.rename(folder / "tills" / source.name)
    return go_program(folder, (GO / "commands.go").read_text())


@pytest.mark.parametrize(
    "program",
    [
        pytest.param(_typescript, id="typescript"),
        pytest.param(_python, id="python"),
        # A generator in Java, and a compiler over hundreds of files.
        pytest.param(_java, id="java", marks=pytest.mark.long),
        pytest.param(_go, id="go", marks=pytest.mark.long),
    ],
)
async def test_a_generated_client_writes_every_command(
    system: System, program: Callable[[Path], list[str]], tmp_path: Path
) -> None:
    """The document is generated from, compiled and sent by: each type of command is written and accepted."""
    async with httpx.AsyncClient(base_url=system.address) as http:
        (tmp_path / _DOCUMENT).write_text((await http.get("/openapi.json")).text)
    command = program(tmp_path)
    printed = run(command, tmp_path, what="the generated client", TILLSTREAM_ADDRESS=system.address)
    async with system.database() as conn:
        written = await conn.fetch(_WRITTEN, UUID(printed.strip()))
    assert {row["command_type"] for row in written} == set(COMMAND_TYPES)
    assert [(row["version"], row["code"]) for row in written] == [(n, None) for n in range(1, 15)]
