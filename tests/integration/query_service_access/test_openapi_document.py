"""The service against its own OpenAPI document, by Schemathesis: a client that knows nothing else of it."""

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
# There is no Kafka here, and no order will ever have the version that is waited for.
UNAVAILABLE = {"send_command", "live_events", "show_order"}


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
    """Whatever a request holds, status, headers and body of its answer are among those in the document."""
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
        # No schema tells which of two parameters exclude each other, nor which years there are.
        excluded: list[Any] = [positive_data_acceptance]
        if route in UNAVAILABLE and response.status_code == 503:
            excluded.append(not_a_server_error)
        case.validate_response(response, headers=headers, excluded_checks=excluded)

    answered()
