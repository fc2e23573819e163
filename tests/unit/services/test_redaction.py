"""No planted key, secret, token or password reaches a log line, whoever logs it and however."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from services import logs
from services.logs import REDACTED, configure_logs, redact, redact_text, secrets_in

PLANTED = "plantedV4lue-9f8e7d6c5b4a"


@pytest.fixture
def output() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    stream = io.StringIO()
    configure_logs(level="DEBUG", stream=stream)
    yield stream
    root.handlers[:], root.level = handlers, level
    structlog.reset_defaults()


@pytest.mark.parametrize(
    "key",
    ["api_key", "apiKey", "OKX_API_KEY", "OK-ACCESS-KEY", "OK-ACCESS-SIGN", "OK-ACCESS-PASSPHRASE", "secret",
     "secretKey", "token", "X-API-Token", "access_token", "password", "db_password", "passphrase", "Authorization",
     "credentials", "Cookie", "private_key", "client-secret"],
)  # fmt: skip
def test_a_value_under_a_secret_name_is_never_written(key: str) -> None:
    assert PLANTED not in json.dumps(redact({"outer": [{key: PLANTED}]}))
    assert PLANTED not in json.dumps(redact({key: [PLANTED]}))


@pytest.mark.parametrize(
    "text",
    [
        f"postgresql://tapeline:{PLANTED}@db.example/tapeline",
        f"postgresql+psycopg://:{PLANTED}@db/x",
        f"Authorization: Bearer {PLANTED}",
        f"X-API-Token: {PLANTED}",
        f"GET /plans?api_key={PLANTED}&x=1",
        f'body {{"apiKey": "{PLANTED}", "b": 1}}',
        f'body {{\\"secret\\": \\"{PLANTED}\\"}}',
        f"{{'passphrase': '{PLANTED}'}}",
        f"password={PLANTED}; next",
        f"TAPELINE_API_TOKEN={PLANTED}",
        f"/run/secrets/token: {PLANTED}",
        f"tenant/api-token={PLANTED}",
        f"https://host/password: '{PLANTED}'",
        f"sk-{PLANTED}",
        f"-----BEGIN PRIVATE KEY-----\n{PLANTED}\n-----END PRIVATE KEY-----",
    ],
)
def test_a_secret_is_known_by_its_looks(text: str) -> None:
    assert PLANTED not in redact_text(text)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("prompt_tokens", 812),
        ("author", "Hamilton"),
        ("design", "blue"),
        ("instrument_id", "BTC-USDT-SWAP"),
        ("monkey", "x"),
        ("event_id", "9f8e7d6c5b4a9f8e7d6c5b4a9f8e7d6c"),
        ("url", "http://127.0.0.1:8000/health"),
        ("text", "/etc/passwd: cannot be opened as a log: file is not a database"),
        ("text", "/run/secrets/db_password: no such log"),
        ("text", "12:30 tick at 80000.1; key=BTC-USDT-SWAP, passed: 5"),
    ],
)
def test_ordinary_values_stay(key: str, value: object) -> None:
    assert redact({key: value}) == {key: value}


def test_a_registered_value_disappears_from_any_text() -> None:
    logs.register_secrets(["hunter2-registered", "", "abc"])
    assert redact_text("venue said: no such user hunter2-registered!") == f"venue said: no such user {REDACTED}!"
    assert redact_text("abc stays: too short to search for") == "abc stays: too short to search for"


class _Sdk:
    def __repr__(self) -> str:
        return f"Client(secret='{PLANTED}')"


def _log_it_every_way(log: Any) -> None:
    log.info("connect", api_key=PLANTED, nested={"password": PLANTED}, url=f"kafka://u:{PLANTED}@host:9092")
    log.warning("client %s", _Sdk())
    log.info(f"token={PLANTED}", client=_Sdk(), raw=f"secret: {PLANTED}".encode())
    try:
        raise ConnectionError(f"cannot reach postgresql://tapeline:{PLANTED}@db/tapeline")
    except ConnectionError:
        log.exception("failed")


def test_secrets_of_libraries_are_found_by_the_names_of_their_variables() -> None:
    environ = {
        "AWS_SECRET_ACCESS_KEY": PLANTED,
        "VERTEXAI_CREDENTIALS": "planted-too",
        "OKX_API_KEY_FILE": "/run/secrets/okx_api_key",
        "SSH_AUTH_SOCK": "/tmp/agent.1",
        "HOME": "/root",
    }
    assert secrets_in(environ) == [PLANTED, "planted-too"]


def test_structlog_and_stdlib_loggers_write_redacted_json_lines(output: io.StringIO) -> None:
    _log_it_every_way(structlog.get_logger("ours"))
    library = logging.getLogger("some.library")
    library.warning("login with password=%s", PLANTED)
    library.error("request", extra={"headers": {"X-API-Token": PLANTED}})
    try:
        raise ValueError(f"api_key={PLANTED}")
    except ValueError:
        library.exception("library failed")
    lines = output.getvalue().splitlines()
    assert len(lines) == 7
    assert PLANTED not in output.getvalue()
    first = json.loads(lines[0])
    assert first["event"] == "connect"
    assert first["level"] == "info"
    assert first["api_key"] == REDACTED
    assert "Traceback" in json.loads(lines[3])["exception"]
