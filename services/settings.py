"""Settings of the services, read from the environment and ``.env``: what runs where, and every trading limit.

Decides nothing about trading: limits are parsed and bounded by ``schemas.settings`` and reach the trader as an event.
A name that is not known or a value that does not fit stops the start; every problem is named, with how to mend it.
``.env.example`` documents every variable; a test holds the two together.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Mapping
from dataclasses import fields
from functools import cache
from pathlib import Path
from typing import Any, Literal, get_args

from dotenv.parser import parse_stream
from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, DotEnvSettingsSource, SettingsConfigDict
from pydantic_settings.sources import PydanticBaseSettingsSource

from schemas.settings import SettingsError, TradingSettings
from services.adapters.settings import ContextSettings
from services.gateways.okx.market.subscriptions import parse_channels
from services.llm.options import LlmOptions
from services.secret_files import file_variable, with_secret_files
from services.telling.settings import TellingSettings

PREFIX = "TAPELINE_"
DEFAULT_LOG = "sqlite:///var/tapeline.db"
DEFAULT_DB = "embedded:var/postgres"
TOKEN_LENGTH_MIN = 16
OPTIONAL_SECRETS = (
    "OKX_API_KEY", "OKX_API_SECRET", "OKX_API_PASSPHRASE", "TAPELINE_LLM_API_KEY", "TAPELINE_LLM_FALLBACK_API_KEY",
    "TAPELINE_CRYPTOPANIC_TOKEN",
)  # fmt: skip
"""Secrets whose file may be empty: paper and rules need none, and a service that does names what is missing."""
TOOL_VARIABLES = ("TAPELINE_CACHE", "TAPELINE_SHARED_DATA")
"""Read by the Makefile, the local broker and the tests, not by the services: known, so that they stop nothing."""

_SCHEMES_LOG = ("sqlite:///", "kafka://", "memory://")
_SCHEMES_DB = ("embedded:", "postgresql://", "postgresql+psycopg://")


class ServiceSettings(ContextSettings, LlmOptions, TellingSettings):
    """Everything the services need beside the trading settings."""

    model_config = SettingsConfigDict(extra="ignore", env_file_encoding="utf-8", populate_by_name=True)

    log: str = Field(
        DEFAULT_LOG,
        validation_alias="TAPELINE_LOG",
        description="The event log: sqlite:///PATH (four slashes: absolute), kafka://HOST:PORT.",
    )
    db: SecretStr = Field(
        SecretStr(DEFAULT_DB),
        validation_alias="TAPELINE_DB",
        description="The projections' database: embedded:FOLDER (PostgreSQL from a wheel) or postgresql://USER@HOST/NAME.",
    )
    db_read_password: SecretStr | None = Field(
        None,
        validation_alias="TAPELINE_DB_READ_PASSWORD",
        description="Password of the read-only role tapeline_read, where the server asks for one: a secret.",
    )
    shard: int = Field(
        0, ge=0, le=1023, validation_alias="TAPELINE_SHARD", description="The partition of this account in every topic."
    )
    shards: int = Field(
        1,
        ge=1,
        le=1024,
        validation_alias="TAPELINE_SHARDS",
        description="Partitions of every topic of a new log, fixed for ever: one an account.",
    )
    api_host: str = Field(
        "127.0.0.1", validation_alias="TAPELINE_API_HOST", description="Address the HTTP API binds to."
    )
    api_port: int = Field(
        8000, ge=1, le=65535, validation_alias="TAPELINE_API_PORT", description="Port of the HTTP API."
    )
    api_token: SecretStr | None = Field(
        None,
        validation_alias="TAPELINE_API_TOKEN",
        description="Callers of the control API send it as X-API-Token; 16 characters or more. Empty: control is off.",
    )
    api_wait_s: float = Field(
        5.0,
        gt=0,
        le=60,
        validation_alias="TAPELINE_API_WAIT_S",
        description="Seconds a control call waits for its outcome before it answers 202.",
    )
    api_calls_per_minute: int = Field(
        120,
        ge=1,
        le=10_000,
        validation_alias="TAPELINE_API_CALLS_PER_MINUTE",
        description="Control calls one client may make in a minute; pause, kill and close are never held up.",
    )
    metrics_host: str = Field(
        "127.0.0.1", validation_alias="TAPELINE_METRICS_HOST", description="Address /metrics of a service binds to."
    )
    metrics_port: int | None = Field(
        None,
        ge=0,
        le=65535,
        validation_alias="TAPELINE_METRICS_PORT",
        description="Port of /metrics of a service but the API, which has its own; 0: a free one. Empty: none.",
    )
    log_disk: str = Field(
        "",
        validation_alias="TAPELINE_LOG_DISK",
        description="A folder on the disk of a Kafka broker on this machine: the projector shows its free space.",
    )
    log_level: str = Field(
        "INFO", validation_alias="TAPELINE_LOG_LEVEL", description="Least level logged: DEBUG, INFO, WARNING or ERROR."
    )
    mode: Literal["paper", "demo", "live"] = Field(
        "paper",
        validation_alias="TAPELINE_MODE",
        description="Where orders go: our simulator (no key), OKX's demo trading, or real money.",
    )
    live_trading_enabled: bool = Field(
        False,
        validation_alias="LIVE_TRADING_ENABLED",
        description="Allows real orders; TAPELINE_MODE=live, a key and a confirmation are needed beside it.",
    )
    live_confirmation: str = Field(
        "",
        validation_alias="TAPELINE_LIVE_CONFIRMATION",
        description="Account and limits as the live gateway shows them when it refuses: UID:DIGEST.",
    )
    okx_api_key: SecretStr | None = Field(None, validation_alias="OKX_API_KEY", description="OKX key: a secret.")
    okx_api_secret: SecretStr | None = Field(
        None, validation_alias="OKX_API_SECRET", description="OKX secret: a secret."
    )
    okx_api_passphrase: SecretStr | None = Field(
        None, validation_alias="OKX_API_PASSPHRASE", description="OKX passphrase: a secret."
    )
    okx_region: Literal["global", "eea", "us"] = Field(
        "global", validation_alias="OKX_REGION", description="Where the account lives; a key is valid in one region."
    )
    okx_rest_url: str = Field(
        "", validation_alias="OKX_REST_URL", description="Another host speaking OKX's REST API; empty: by region."
    )
    okx_ws_url: str = Field(
        "",
        validation_alias="OKX_WS_URL",
        description="Another host speaking OKX's WebSocket API, up to /ws/v5; empty: by region and mode.",
    )
    okx_channels: str = Field(
        "trades,quotes,mark,index,funding,bars",
        validation_alias="OKX_CHANNELS",
        description="What the market gateway subscribes, comma-separated; bars is a must.",
    )
    okx_position_mode: Literal["net", "long_short"] = Field(
        "net", validation_alias="OKX_POSITION_MODE", description="The account's position mode; another one is refused."
    )

    @field_validator(
        "metrics_port",
        "api_token",
        "db_read_password",
        "okx_api_key",
        "okx_api_secret",
        "okx_api_passphrase",
        mode="before",
    )
    @classmethod
    def _empty_is_absent(cls, value: object) -> object:
        return None if value == "" else value

    @field_validator("db", mode="before")
    @classmethod
    def _no_database_is_the_default(cls, value: object) -> object:
        return DEFAULT_DB if value == "" else value

    @field_validator("api_token")
    @classmethod
    def _token_is_long(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and len(value.get_secret_value()) < TOKEN_LENGTH_MIN:
            raise ValueError(f"must have at least {TOKEN_LENGTH_MIN} characters, e.g. from `openssl rand -hex 24`")
        return value

    @field_validator("log")
    @classmethod
    def _log_has_a_scheme(cls, value: str) -> str:
        return _with_scheme(value, _SCHEMES_LOG)

    @field_validator("db")
    @classmethod
    def _db_has_a_scheme(cls, value: SecretStr) -> SecretStr:
        _with_scheme(value.get_secret_value(), _SCHEMES_DB)
        return value

    @field_validator("log_level")
    @classmethod
    def _level_is_known(cls, value: str) -> str:
        if value.upper() not in ("DEBUG", "INFO", "WARNING", "ERROR"):
            raise ValueError("must be DEBUG, INFO, WARNING or ERROR")
        return value.upper()

    @field_validator("okx_channels")
    @classmethod
    def _channels_are_known(cls, value: str) -> str:
        return ",".join(parse_channels(value))

    @field_validator("okx_rest_url", "okx_ws_url")
    @classmethod
    def _url_has_a_scheme(cls, value: str) -> str:
        return _with_scheme(value, ("https://", "http://", "wss://", "ws://")).rstrip("/") if value else value

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Read nothing behind the caller's back: ``load_settings`` hands over the merged variables."""
        return (init_settings,)


class Settings:
    """Service settings and trading settings of one process."""

    def __init__(self, service: ServiceSettings, trading: TradingSettings) -> None:
        self.service = service
        self.trading = trading

    def secrets(self) -> list[str]:
        """Return every secret value in force, for the redaction of logs."""
        values = (getattr(self.service, name) for name in ServiceSettings.model_fields)
        found = [value.get_secret_value() for value in values if isinstance(value, SecretStr)]
        return [value for value in found if value and not value.startswith(_SCHEMES_DB)]


def _with_scheme(value: str, schemes: tuple[str, ...]) -> str:
    if not value.startswith(schemes):
        raise ValueError(f"must start with {' or '.join(schemes)}")
    return value


@cache
def service_variables() -> dict[str, FieldInfo]:
    """Return the service settings by the name of their variable."""
    return {str(field.validation_alias): field for field in ServiceSettings.model_fields.values()}


@cache
def secret_variables() -> tuple[str, ...]:
    """Return the variables that hold a secret; each may be given as a file too, under its name and ``_FILE``."""
    return tuple(name for name, field in service_variables().items() if SecretStr in _types(field.annotation))


def _types(annotation: Any) -> tuple[Any, ...]:
    return get_args(annotation) or (annotation,)


@cache
def trading_variables() -> dict[str, str]:
    """Return the trading settings' names by the name of their variable."""
    return {PREFIX + field.name.upper(): field.name for field in fields(TradingSettings)}


def load_settings(
    *,
    environ: Mapping[str, str] | None = None,
    env_file: Path | None = Path(".env"),
    env_file_given: bool = False,
    overrides: Mapping[str, str] | None = None,
) -> Settings:
    """Return the settings in force: command-line overrides over the environment over ``.env`` over defaults.

    ``overrides``: values by variable name. ``env_file_given``: somebody named the file, so it must be there. Raises
    SettingsError listing every unknown or invalid variable, never showing the value of a secret.
    """
    from_file = {} if env_file is None else _read_env_file(env_file, given=env_file_given)
    environment = dict(os.environ if environ is None else environ)
    problems = [*_unknown(from_file, where=str(env_file), strict=True), *_unknown(environment, where="environment")]
    merged = {**from_file, **environment, **(overrides or {})}
    read = with_secret_files(merged, secret_variables(), problems, may_be_empty=OPTIONAL_SECRETS)
    service = _service(read, problems)
    trading = _trading(merged, problems)
    if service is not None and service.live_trading_enabled and service.mode != "live":
        problems.append(
            "LIVE_TRADING_ENABLED: true goes with TAPELINE_MODE=live only; "
            f"the mode is {service.mode}: set one of them right"
        )
    if problems or service is None or trading is None:
        raise SettingsError("; ".join(problems))
    return Settings(service, trading)


def _read_env_file(path: Path, *, given: bool) -> dict[str, str]:
    """Return what the file sets. Raises SettingsError for one that was named and is not there, or is no text file."""
    name = f"--env-file {path}" if given else str(path)
    if path == Path(os.devnull) or not (given or path.exists()):
        return {}
    if not path.exists():
        raise SettingsError(f"{name}: no such file; name one that is there, or leave the option out")
    if not path.is_file():
        raise SettingsError(f"{name}: is no file; settings are read from a text file, NAME=VALUE a line")
    try:
        binary = "\0" in path.read_text(encoding="utf-8")
    except OSError as error:
        raise SettingsError(f"{name}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError:
        binary = True
    if binary:
        raise SettingsError(f"{name}: is not text; settings are read from a text file, NAME=VALUE a line")
    _refuse_unread_lines(path, name)
    source = DotEnvSettingsSource(ServiceSettings, env_file=path, env_file_encoding="utf-8", case_sensitive=True)
    return {name: value or "" for name, value in source.env_vars.items()}


def _refuse_unread_lines(path: Path, name: str) -> None:
    """Raise SettingsError for a line that sets nothing and a name that is set twice: neither is seen otherwise."""
    seen: dict[str, int] = {}
    problems = []
    with path.open(encoding="utf-8") as file:
        for binding in parse_stream(file):
            line = binding.original.line + len(binding.original.string) - len(binding.original.string.lstrip("\n"))
            if binding.error or (binding.key is not None and binding.value is None):
                problems.append(f"{name}, line {line}: sets nothing; write NAME=VALUE")
            elif binding.key in seen:
                problems.append(f"{name}, line {line}: {binding.key} was set in line {seen[binding.key]}; leave one")
            elif binding.key is not None:
                seen[binding.key] = line
    if problems:
        raise SettingsError("; ".join(problems))


def known_variables() -> set[str]:
    """Return the name of every variable that may be set."""
    return {*service_variables(), *trading_variables(), *TOOL_VARIABLES, *map(file_variable, secret_variables())}


def _unknown(variables: Mapping[str, str], *, where: str, strict: bool = False) -> list[str]:
    """Return what is wrong with names: all of our own file's, and ours among the environment's."""
    known = known_variables()
    suspects = [name for name in variables if name not in known]
    if not strict:
        suspects = [name for name in suspects if name.startswith((PREFIX, "LIVE_TRADING", "OKX_"))]
    return [f"{name} ({where}): unknown variable; {_closest(name, known)}" for name in sorted(suspects)]


def _closest(name: str, known: set[str]) -> str:
    close = difflib.get_close_matches(name, sorted(known), n=1, cutoff=0.8)
    return f"did you mean {close[0]}?" if close else "remove it; .env.example lists every variable"


def _service(variables: Mapping[str, str], problems: list[str]) -> ServiceSettings | None:
    given: dict[str, Any] = {name: variables[name] for name in service_variables() if name in variables}
    try:
        return ServiceSettings(**given)
    except ValidationError as error:
        for detail in error.errors(include_input=False, include_url=False):
            name, reason = str(detail["loc"][0]), detail["msg"].removeprefix("Value error, ")
            between = (
                " " if name in secret_variables() else ": "
            )  # the redaction takes what follows a colon for the secret
            problems.append(f"{name}{between}{reason}")
        return None


def _trading(variables: Mapping[str, str], problems: list[str]) -> TradingSettings | None:
    """Return the trading settings, or record every problem: a bad value is named and set aside, the rest is tried."""
    given = {name: variables[variable] for variable, name in trading_variables().items() if variable in variables}
    settings = None
    while settings is None:
        try:
            settings = TradingSettings.from_values(given)
        except SettingsError as error:
            name = re.split("[=:]", str(error), maxsplit=1)[0]
            given_by_user = given.pop(name, None) is not None
            if given_by_user or not problems:
                problems.append(PREFIX + name.upper() + str(error)[len(name) :])
            if not given_by_user:
                break  # a default clashes with a value given, or with one set aside: nothing more to learn
    return settings
