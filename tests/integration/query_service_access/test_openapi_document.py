"""The service against its own OpenAPI document, by Schemathesis: a client that knows nothing else of it."""

from collections.abc import Mapping
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import positive_data_acceptance

from integration.query_service.conftest import Issuer
from query_service.access import PERMISSIONS

EXAMPLES = 12

# What its checks find and we mean so, each with the reason. All else that they find is a fault.
_GIVEN_OUT = "A place that a client has from an earlier answer: no schema tells which were given out."
_BY_UTC = "The pattern has the year as it is written; by UTC its first or last hours may be of another."
_PRINTABLE = "What is printable goes by Unicode's categories, which not every reader of JSON Schema knows."
REFUSED_THOUGH_IT_FITS: Mapping[str, str] = {
    "is no cursor that was given out here": _GIVEN_OUT,
    "is no watermark that was given out here": _GIVEN_OUT,
    "is no place in the topic: it is what an earlier event's id was, as it was": _GIVEN_OUT,
    "must be given, or time, and not both": "No schema of parameters tells that it takes one of two.",
    "must be a whole number": "JSON Schema takes 3.0 for one; who writes a version so reckons in fractions.",
    "must be in the years 1900 to 2199": _BY_UTC,
    "must lie between the years 2000 and 2100": _BY_UTC,
    "must have printable characters only": _PRINTABLE,
    "must be 1 to 128 printable characters": _PRINTABLE,
}
"""The rule that a refusal names → why the schema doesn't tell it."""
UNAVAILABLE: Mapping[str, str] = {
    "/problems/unavailable": "There is no Kafka here; drawn commands and places are tried up to that point.",
    "/problems/not-there-yet": "No order will ever have the version that is waited for.",
}
"""The kind of a problem of status 503 → why it is the right answer."""


def _opinions(response: schemathesis.Response) -> list[Any]:
    """Return the checks whose opinion of an answer is not ours."""
    if response.status_code == 503 and response.json()["type"] in UNAVAILABLE:
        return [not_a_server_error]
    if response.status_code == 400:
        broken = {error["rule"] for error in response.json().get("errors", ())}
        if broken and broken <= REFUSED_THOUGH_IT_FITS.keys():
            return [positive_data_acceptance]
    return []


@pytest.fixture(scope="module")
def document(served: str) -> Any:
    """Give the service's document."""
    schemathesis.checks.load_all_checks()
    return schemathesis.openapi.from_url(f"{served}/openapi.json")


@pytest.mark.parametrize("mode", GenerationMode)
@pytest.mark.parametrize("route", PERMISSIONS)
def test_answers_are_as_the_document_says(
    document: Any, issuer: Issuer, route: str, mode: GenerationMode
) -> None:
    """Whatever a request holds, its answer passes every check of Schemathesis, but for the opinions above."""
    token = issuer.token(PERMISSIONS[route][-1])
    operations = [result.ok() for result in document.get_all_operations()]
    (operation,) = [each for each in operations if each.definition.raw["operationId"] == route]

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def answered(case: schemathesis.Case) -> None:
        headers = {"Authorization": f"Bearer {token}"}
        if route == "show_order" and mode is GenerationMode.POSITIVE:
            case.query = {**(case.query or {}), "timeout": "0"}
        response = case.call(headers=headers, timeout=40)
        case.validate_response(response, headers=headers, excluded_checks=_opinions(response))

    answered()
