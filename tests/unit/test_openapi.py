"""The OpenAPI document."""

import json
import re

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from backlot.operations import catalogue
from lambdas.serve_api.openapi import docs_page, document, document_json
from tests.unit.work import TASK_ID, a_task


@pytest.fixture(scope="module")
def api_document() -> dict:
    return json.loads(document_json())


def endpoints(api_document: dict) -> list[tuple[str, str, dict]]:
    return [
        (method, path, endpoint)
        for path, methods in api_document["paths"].items()
        for method, endpoint in methods.items()
    ]


def test_document_is_valid(api_document):
    assert list(OpenAPIV31SpecValidator(api_document).iter_errors()) == []


def test_document_that_is_broken_would_be_found():
    broken = document()
    del broken["info"]["title"]
    assert list(OpenAPIV31SpecValidator(broken).iter_errors())


def test_document_names_its_operations_once(api_document):
    ids = [endpoint["operationId"] for *_, endpoint in endpoints(api_document) if "operationId" in endpoint]
    assert len(ids) == len(set(ids))


def test_document_has_every_schema_that_it_refers_to_and_no_other(api_document):
    referred = set(re.findall(r"#/components/schemas/(\w+)", json.dumps(api_document)))
    assert referred == set(api_document["components"]["schemas"])


def test_document_has_the_paths_of_every_operation(api_document):
    for name in catalogue():
        for path in (f"/api/v1/{name}/tasks", f"/api/v1/{name}/jobs", f"/api/v1/{name}/jobs/{{id}}"):
            assert path in api_document["paths"]


def test_documented_routes_are_served(api, api_document):
    api.tasks.add(a_task())
    for method, path, endpoint in endpoints(api_document):
        body = endpoint.get("requestBody", {}).get("content", {}).get("application/json", {}).get("example")
        answer = api.call(method.upper(), path.replace("{id}", TASK_ID), body=body)
        assert str(answer.status) in endpoint["responses"], (method, path, answer.text[:200])


def test_routes_without_a_key_are_those_that_need_none(api_document):
    open_to_all = {path for _, path, endpoint in endpoints(api_document) if endpoint.get("security") == []}
    old = {"/ping", "/api", "/api/health", "/api/system/health"}
    assert open_to_all == {"/health", "/openapi.json", "/docs"} | old


def test_page_of_the_document_loads_nothing_from_elsewhere():
    assert not re.findall(r"<(?:script|link|img)[^>]+(?:src|href)=[\"']https?://", docs_page())
