"""The API's documentation works without a network, and says everything the OpenAPI document says."""

from __future__ import annotations

import re
from html import escape
from typing import Any

import pytest

from services.api import create_app
from services.pages import docs_page
from services.query.database import ReadDatabase
from services.settings import load_settings
from streams.log.memory import MemoryLog


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    settings = load_settings(environ={}, env_file=None)
    return create_app(MemoryLog(), ReadDatabase("postgresql://nobody@127.0.0.1:1/nothing"), settings).openapi()


def test_the_page_fetches_nothing(document: dict[str, Any]) -> None:
    page = docs_page(document, "http://127.0.0.1:8000/")
    assert re.findall(r"<(?:script|link|img|iframe)\b|\bsrc=|@import|url\(", page) == []
    assert re.findall(r'href="([^"]*)"', page) == ["openapi.json"]


def test_every_route_parameter_and_body_is_on_it(document: dict[str, Any]) -> None:
    page = docs_page(document, "http://127.0.0.1:8000/")
    assert len(document["paths"]) > 30
    for path, verbs in document["paths"].items():
        for verb, operation in verbs.items():
            assert f'<span class="verb">{verb.upper()}</span> <code>{escape(path)}</code>' in page
            for parameter in operation.get("parameters", ()):
                assert f"<td><code>{parameter['name']}</code></td>" in page
    assert "One of 1m, 5m, 15m, 1h, 4h." in page
    assert "or <code>latest</code>." in page
    assert "``" not in re.sub(r"<pre>.*?</pre>", "", page, flags=re.DOTALL)
    assert escape('-H "X-API-Token: $TAPELINE_API_TOKEN" --json @body.json') in page
    assert escape('"reference_price"') in page or escape('"schema_version"') in page


def test_what_the_document_says_is_text_not_markup() -> None:
    document = {
        "info": {"title": "<b>", "version": "1", "description": "<script>"},
        "paths": {"/a<i>": {"get": {"summary": "<img src=x>", "parameters": [{"name": "<u>", "in": "query"}]}}},
    }
    page = docs_page(document, "http://h/'<s>")
    assert re.findall(r"<(?:b|i|u|s|script|img)>|<img", page) == []


def test_errors_are_described_as_they_are_sent(document: dict[str, Any]) -> None:
    assert "HTTPValidationError" not in str(document)
    for path, verbs in document["paths"].items():
        for operation in verbs.values():
            assert "422" not in operation["responses"]
            told = operation["responses"]["default"]["content"]["application/json"]["schema"]
            ours = ["error_code", "message"] if operation["tags"] == ["schemas"] else ["detail"]
            assert told["required"] == ours, path
    fields = document["paths"]["/orders"]["get"]["responses"]["default"]["content"]["application/json"]["schema"]
    assert fields["properties"]["errors"]["items"]["required"] == ["field", "reason"]


def test_a_filter_over_a_closed_list_shows_its_words(document: dict[str, Any]) -> None:
    shown = {each["name"]: each["schema"].get("enum") for each in document["paths"]["/orders"]["get"]["parameters"]}
    assert shown["purpose"] == ["ENTRY", "STOP", "TARGET", "EXIT"]
    assert shown["plan_id"] is None
