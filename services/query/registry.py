"""The read-only endpoints of a Confluent schema registry, answered from the repository's lockfile.

A stock deserializer pointed at this API decodes any topic; there is no registry server and nothing can be registered.
Subjects follow RecordNameStrategy (``tapeline.Trade``): a topic carries several types, a type lives on one topic.
"""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from fastapi.responses import JSONResponse

from schemas.avro_types import NAMESPACE
from schemas.codec import CodecError, latest_version, schema_ids, schema_text
from services.errors import described

MEDIA_TYPE = "application/vnd.schemaregistry.v1+json"
SUBJECT_NOT_FOUND, VERSION_NOT_FOUND, SCHEMA_NOT_FOUND, INVALID_VERSION = 40401, 40402, 40403, 42202
"""Error codes of the registry's REST API. Source: Confluent Schema Registry API reference, errors."""


_ERRORS = described(
    "An error, as a Confluent registry says it.",
    {"error_code": {"type": "integer"}, "message": {"type": "string"}},
    required=["error_code", "message"],
)
router = APIRouter(tags=["schemas"], responses=_ERRORS)


def _answer(content: Any) -> JSONResponse:
    return JSONResponse(content, media_type=MEDIA_TYPE)


def _error(code: int, message: str) -> JSONResponse:
    return JSONResponse({"error_code": code, "message": message}, status_code=code // 100, media_type=MEDIA_TYPE)


def _subject(name: str) -> str:
    return f"{NAMESPACE}.{name}"


def _versions(subject: str) -> dict[str, int]:
    """Return schema id by version of a subject; empty: no such subject."""
    prefix, _, name = subject.rpartition(".")
    return schema_ids().get(name, {}) if prefix == NAMESPACE else {}


def _places(schema_id: int) -> list[dict[str, Any]]:
    return [
        {"subject": _subject(name), "version": int(version)}
        for name, versions in schema_ids().items()
        for version, known in versions.items()
        if known == schema_id
    ]


@router.get("/schemas/types")
def schema_types() -> JSONResponse:
    """List the schema formats there are."""
    return _answer(["AVRO"])


@router.get("/schemas/ids/{schema_id}")
def schema_by_id(schema_id: int) -> JSONResponse:
    """Return the schema a record's header names."""
    try:
        return _answer({"schema": schema_text(schema_id), "schemaType": "AVRO"})
    except CodecError:
        return _error(SCHEMA_NOT_FOUND, f"Schema {schema_id} not found")


@router.get("/schemas/ids/{schema_id}/subjects")
def subjects_by_id(schema_id: int) -> JSONResponse:
    """List the subjects a schema is registered under."""
    places = _places(schema_id)
    missing = _error(SCHEMA_NOT_FOUND, f"Schema {schema_id} not found")
    return _answer([place["subject"] for place in places]) if places else missing


@router.get("/schemas/ids/{schema_id}/versions")
def versions_by_id(schema_id: int) -> JSONResponse:
    """List subject and version of a schema."""
    places = _places(schema_id)
    return _answer(places) if places else _error(SCHEMA_NOT_FOUND, f"Schema {schema_id} not found")


@router.get("/subjects")
def subjects() -> JSONResponse:
    """List every event type as a subject."""
    return _answer([_subject(name) for name in schema_ids()])


@router.get("/subjects/{subject}/versions")
def versions(subject: str) -> JSONResponse:
    """List the versions of a subject."""
    known = _versions(subject)
    missing = _error(SUBJECT_NOT_FOUND, f"Subject '{subject}' not found.")
    return _answer(sorted(map(int, known))) if known else missing


@router.get("/subjects/{subject}/versions/{version}")
def schema_by_version(subject: str, version: str) -> JSONResponse:
    """Return one version of a subject, or ``latest``."""
    known = _versions(subject)
    if not known:
        return _error(SUBJECT_NOT_FOUND, f"Subject '{subject}' not found.")
    wanted = str(latest_version(subject.rpartition(".")[2])) if version in ("latest", "-1") else version
    if not wanted.isdecimal() or int(wanted) == 0:
        return _error(INVALID_VERSION, f"The specified version '{version}' is not a valid version id.")
    schema_id = known.get(str(int(wanted)))
    if schema_id is None:
        return _error(VERSION_NOT_FOUND, f"Version {version} not found.")
    content = {"subject": subject, "version": int(wanted), "id": schema_id, "schemaType": "AVRO"}
    return _answer(content | {"schema": schema_text(schema_id)})


@router.get("/config")
@router.get("/config/{subject}")
def config(subject: str = "") -> JSONResponse:
    """Return the compatibility every change must keep; CI enforces it."""
    if subject and not _versions(subject):
        return _error(SUBJECT_NOT_FOUND, f"Subject '{subject}' not found.")
    return _answer({"compatibilityLevel": "FULL"})


@router.get("/mode")
def mode() -> JSONResponse:
    """Say that nothing can be registered here."""
    return _answer({"mode": "READONLY"})
