"""The OpenAPI document, and the pages that show it without internet."""

import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.unit.http.edge import Edge

METHODS = {"get", "post", "patch", "delete"}


@pytest.fixture
async def document(edge: Edge) -> dict[str, Any]:
    async with edge.client(headers={}) as client:
        made: dict[str, Any] = (await client.get("/openapi.json")).json()
        return made


def operations(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, item in document["paths"].items():
        for method in METHODS & item.keys():
            yield f"{method} {path}", item[method]


def references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        for inner in value.values():
            yield from references(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from references(inner)


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    assert document["openapi"].startswith("3.1")
    for reference in references(document):
        *_, name = reference.split("/")
        assert reference == f"#/components/schemas/{name}"
        assert name in document["components"]["schemas"]


def test_every_operation_of_the_api_shows_its_errors_as_problems(document: dict[str, Any]) -> None:
    for name, operation in operations(document):
        if "/api/" not in name:
            continue
        responses = operation["responses"]
        assert {"401", "403", "413", "422", "500"} <= responses.keys(), name
        assert operation["security"] == [{"bearer": []}], name
        for status in responses.keys() - {"200", "202", "204", "206", "304", "307", "416"}:
            content = responses[status]["content"]["application/problem+json"]
            assert content["schema"] == {"$ref": "#/components/schemas/Problem"}
            for code, example in content["examples"].items():
                assert (example["value"]["code"], str(example["value"]["status"])) == (code, status)
        if "{video_id}" in name or "{job_id}" in name:
            assert "404" in responses, name


def test_every_operation_has_a_name_of_its_own_and_says_what_it_does(document: dict[str, Any]) -> None:
    ids = [operation["operationId"] for _, operation in operations(document)]

    assert len(set(ids)) == len(ids)
    assert all(operation["description"] for _, operation in operations(document))


def test_the_upload_is_a_form_with_a_file(document: dict[str, Any]) -> None:
    body = document["paths"]["/api/v1/videos"]["post"]["requestBody"]
    schema = body["content"]["multipart/form-data"]["schema"]

    assert schema["required"] == ["file"]
    assert schema["properties"].keys() == {"file", "title", "description", "captured_at", "camera_id", "spec"}


def test_the_frameworks_own_error_schemas_are_not_there(document: dict[str, Any]) -> None:
    assert not {"HTTPValidationError", "ValidationError"} & document["components"]["schemas"].keys()


@pytest.mark.parametrize("path", ["/docs", "/redoc"])
async def test_a_page_loads_nothing_from_elsewhere(edge: Edge, path: str) -> None:
    async with edge.client(headers={}) as client:
        page = await client.get(path)
        assert page.headers["content-type"].startswith("text/html")
        assert not re.search(r"(src|href)=\"(https?:)?//", page.text)
        policy = page.headers["content-security-policy"]
        assert "script-src 'self';" in policy
        assert "http" not in policy
        for asset in re.findall(r"(?:src|href)=\"(/[^\"]+)\"", page.text):
            await assert_is_there(client, asset)


async def assert_is_there(client: httpx.AsyncClient, asset: str) -> None:
    response = await client.get(asset)
    assert response.status_code == 200, asset
    assert response.content
    expected = "text/css" if asset.endswith(".css") else "javascript"
    assert expected in response.headers["content-type"]


@pytest.mark.parametrize("path", ["/docs/static/nothing.js", "/docs/static/", "/docs/static/../app.py"])
async def test_only_the_files_of_the_pages_are_there(edge: Edge, path: str) -> None:
    async with edge.client(headers={}) as client:
        response = await client.get(httpx.URL("http://vidintel.test", raw_path=path.encode()))

    assert response.status_code == 404
