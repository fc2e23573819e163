"""Secrets given as files (``NAME_FILE=/run/secrets/name``), the way container secrets arrive."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from pathlib import Path

SECRET_BYTES_MAX = 4096
"""A longer file is not a secret but a mistake."""


def file_variable(name: str) -> str:
    """Return the variable that names the file of a secret."""
    return name + "_FILE"


def with_secret_files(
    variables: Mapping[str, str], secrets: Iterable[str], problems: list[str], *, may_be_empty: Container[str] = ()
) -> dict[str, str]:
    """Return the variables with each secret's file read in its place; a line break at its end is no part of it.

    may_be_empty: the secrets that an empty file leaves out. Adds to ``problems`` what cannot be read, is empty, or is
    given both ways. Never shows content.
    """
    merged = dict(variables)
    for name in secrets:
        path = variables.get(file_variable(name))
        if not path:
            continue
        if variables.get(name):
            problems.append(f"{file_variable(name)}: {name} is set as well; give one of the two")
            continue
        try:
            merged[name] = _read(Path(path), may_be_empty=name in may_be_empty)
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            problems.append(f"{file_variable(name)}={path}: {reason}")
    return merged


def _read(path: Path, *, may_be_empty: bool) -> str:
    with path.open("rb") as file:
        raw = file.read(SECRET_BYTES_MAX + 1)
    if len(raw) > SECRET_BYTES_MAX:
        raise ValueError(f"longer than {SECRET_BYTES_MAX} bytes: not a secret")
    try:
        text = raw.decode("utf-8").rstrip("\r\n")
    except UnicodeDecodeError:
        raise ValueError("not UTF-8 text") from None
    if (not text and not may_be_empty) or "\n" in text:
        raise ValueError("must hold the secret on one line")
    return text
