"""The kinds of questions in the OpenAPI document."""

from query_service.app import bare_app
from query_service.routes.tags import TAGS


def test_each_question_is_of_a_kind_that_is_explained() -> None:
    """No operation is left under "default", and each kind has its line and is used."""
    document = bare_app().openapi()
    used = [operation["tags"] for path in document["paths"].values() for operation in path.values()]
    assert all(len(tags) == 1 for tags in used)
    assert {tag for (tag,) in used} == set(TAGS)
    assert [(tag["name"], tag["description"]) for tag in document["tags"]] == list(TAGS.items())
