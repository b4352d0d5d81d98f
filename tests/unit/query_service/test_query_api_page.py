"""docs/query-api.md repeats three lists of the code: nothing is missing there, and nothing is too much."""

import re
from pathlib import Path

from query_service.access import PERMISSIONS, Role
from query_service.app import bare_app
from query_service.problems import KINDS
from query_service.routes.authenticated_route import AuthenticatedRoute
from query_service.settings import QuerySettings
from runtime import Settings

PAGE = (Path(__file__).parents[3] / "docs" / "query-api.md").read_text()


def rows(heading: str) -> list[list[str]]:
    """Give the cells of the rows of the table under a heading."""
    section = PAGE.split(f"## {heading}\n", 1)[1].split("\n## ", 1)[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def test_the_page_has_the_roles_of_the_code() -> None:
    """Each route stands in the table once, with exactly the roles that it is for."""
    told = {}
    for what, *marks in rows("Who may do what"):
        method = what.strip("`").split()[0]
        for path in re.findall(r"/v1/[^`]+", what):
            told[f"{method} {path}"] = {role for role, mark in zip(Role, marks, strict=True) if mark}
    assert told == {
        f"{method} {route.path}": set(PERMISSIONS[route.name])
        for route in bare_app().routes
        if isinstance(route, AuthenticatedRoute)
        for method in route.methods or ()
    }


def test_the_page_has_the_problems_of_the_code() -> None:
    """Each kind of problem stands in the table with its status."""
    assert {slug.strip("`"): int(status) for slug, status, _ in rows("Problems")} == {
        slug: kind.status for slug, kind in KINDS.items()
    }


def test_the_page_has_the_settings_of_the_code() -> None:
    """Each setting that is the query service's own stands in the table."""
    told = {name.lower() for setting, *_ in rows("Settings") for name in re.findall(r"`([A-Z_]+)`", setting)}
    assert told == QuerySettings.model_fields.keys() - Settings.model_fields.keys()
