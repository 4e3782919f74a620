"""The running API keeps what `/openapi.json` says, for requests that are made from it: fitting ones and others."""

from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.e2e.serving import ServedSystem, upload, wait_for_job

_CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
_SLOW = [HealthCheck.too_slow, HealthCheck.filter_too_much]
_SETTINGS = settings(max_examples=25, deadline=None, derandomize=True, database=None, suppress_health_check=_SLOW)
_CHANGES = {"delete_video", "request_analysis", "cancel_job", "retry_job"}
"""Asked for ids that are made up only, so that what the others ask for stays as it is."""


@pytest.fixture(scope="module")
def analysed(system: ServedSystem) -> dict[str, str]:
    """Ids of the only video of a tenant, and of its job that is done."""
    with system.client(user="fuzz", org="fuzzed") as client:
        answer = upload(client)
        assert wait_for_job(client, answer["job"]["id"])["status"] == "succeeded"
        return {"video_id": answer["video"]["id"], "job_id": answer["job"]["id"]}


def test_the_api_is_what_it_says(system: ServedSystem, analysed: dict[str, str]) -> None:
    headers = {"Authorization": f"Bearer {system.token(user='fuzz', org='fuzzed')}"}
    document = schemathesis.openapi.from_url(f"{system.url}/openapi.json").include(path_regex="^/api/")
    asked = set[str]()

    def ask(case: schemathesis.Case[Any]) -> None:
        name = case.operation.definition.raw["operationId"]
        asked.add(name)
        if name not in _CHANGES:
            for parameter in analysed.keys() & case.path_parameters.keys():
                case.path_parameters[parameter] = analysed[parameter]
        case.call_and_validate(checks=_CHECKS, headers=headers)

    for found in document.get_all_operations():
        assert isinstance(found, Ok)
        for mode in GenerationMode:
            _SETTINGS(given(found.ok().as_strategy(generation_mode=mode))(ask))()
    assert len(asked) >= 20
