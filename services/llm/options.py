"""Settings of the completion service: which model, how long, how often and for how much it may be asked."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from ipaddress import ip_address
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings

from schemas.settings import SettingsError


class LlmOptions(BaseSettings):
    """Everything the completion service needs beside log and metrics."""

    llm_model: str = Field(
        "", validation_alias="TAPELINE_LLM_MODEL", description="A litellm model, PROVIDER/NAME; empty: none is asked."
    )
    llm_api_key: SecretStr | None = Field(
        None, validation_alias="TAPELINE_LLM_API_KEY", description="Key of the model's provider: a secret."
    )
    llm_api_base: str = Field(
        "",
        validation_alias="TAPELINE_LLM_API_BASE",
        description="Another host speaking the provider's API; empty: its own.",
    )
    llm_fallback_model: str = Field(
        "",
        validation_alias="TAPELINE_LLM_FALLBACK_MODEL",
        description="Asked when the first model gives no answer; empty: none.",
    )
    llm_fallback_api_key: SecretStr | None = Field(
        None, validation_alias="TAPELINE_LLM_FALLBACK_API_KEY", description="Key of its provider: a secret."
    )
    llm_fallback_api_base: str = Field(
        "",
        validation_alias="TAPELINE_LLM_FALLBACK_API_BASE",
        description="Another host for it; empty: the provider's own.",
    )
    llm_temperature: Decimal = Field(
        Decimal("0.2"),
        ge=0,
        le=2,
        validation_alias="TAPELINE_LLM_TEMPERATURE",
        description="Temperature asked for; a model that takes none is asked without.",
    )
    llm_max_tokens: int = Field(
        2000, ge=64, le=32_000, validation_alias="TAPELINE_LLM_MAX_TOKENS", description="Longest answer, tokens."
    )
    llm_retries: int = Field(
        2,
        ge=0,
        le=10,
        validation_alias="TAPELINE_LLM_RETRIES",
        description="Further attempts per model after 429, 5xx or a lost connection.",
    )
    llm_repair: bool = Field(
        True,
        validation_alias="TAPELINE_LLM_REPAIR",
        description="Whether an answer that is no plan is sent back once with what is wrong with it.",
    )
    llm_tokens_per_day: int = Field(
        500_000, ge=1, validation_alias="TAPELINE_LLM_TOKENS_PER_DAY", description="Tokens spent at most in a UTC day."
    )
    llm_cost_per_day: Decimal = Field(
        Decimal(5),
        ge=0,
        le=100_000,
        validation_alias="TAPELINE_LLM_COST_PER_DAY",
        description="USD spent at most in a UTC day, on models whose price litellm knows.",
    )

    @field_validator("llm_api_key", "llm_fallback_api_key", mode="before")
    @classmethod
    def _no_key_is_none(cls, value: object) -> object:
        return None if value == "" else value

    @field_validator("llm_api_base", "llm_fallback_api_base")
    @classmethod
    def _base_is_a_url(cls, value: str) -> str:
        if value and not (value.startswith(("https://", "http://")) and urlsplit(value).hostname):
            raise ValueError("must be a URL such as https://HOST/v1")
        return value.rstrip("/")


@dataclass(frozen=True, slots=True)
class ModelAccess:
    """One model and how to reach it. ``api_base`` empty: the provider's own host."""

    model: str
    api_key: str | None
    api_base: str


def models_of(options: LlmOptions) -> tuple[ModelAccess, ...]:
    """Return the models to ask, in order. Raises SettingsError for a key that would travel in the clear."""
    given = (
        ("", options.llm_model, options.llm_api_key, options.llm_api_base),
        ("FALLBACK_", options.llm_fallback_model, options.llm_fallback_api_key, options.llm_fallback_api_base),
    )
    found = []
    for prefix, model, key, base in given:
        if key is not None and base.startswith("http://") and not _is_this_machine(base):
            raise SettingsError(
                f"TAPELINE_LLM_{prefix}API_BASE: the key would travel unencrypted to {urlsplit(base).hostname}; "
                "use https"
            )
        if model:
            found.append(ModelAccess(model, None if key is None else key.get_secret_value(), base))
    return tuple(found)


def _is_this_machine(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
