"""Settings of the context sources: which are on, where they are, how often they are asked. Imports nothing heavy."""

from __future__ import annotations

from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings

RSS, CRYPTOPANIC, TRENDS = "rss", "cryptopanic", "google-trends"
WITHOUT_KEY = (RSS, "mempool.space", "blockchain.info", "blockchain-charts", "defillama", "fear-greed")
NAMES = (*WITHOUT_KEY, CRYPTOPANIC, TRENDS)
"""Every source there is; the first ones need nothing and are on."""
FEEDS = "https://www.coindesk.com/arc/outboundfeeds/rss,https://cointelegraph.com/rss"
FEEDS_MAX = 20
INTERVAL_S_MIN = 10


class ContextSettings(BaseSettings):
    """What ``tapeline adapters`` needs."""

    context_sources: str = Field(
        ",".join(WITHOUT_KEY),
        validation_alias="TAPELINE_CONTEXT_SOURCES",
        description="Context sources that are asked, comma-separated; empty: none.",
    )
    context_feeds: str = Field(
        FEEDS,
        validation_alias="TAPELINE_CONTEXT_FEEDS",
        description="RSS and Atom feeds of the source rss, comma-separated URLs.",
    )
    context_trends: str = Field(
        "",
        validation_alias="TAPELINE_CONTEXT_TRENDS",
        description="Export of Google Trends for the source google-trends: a file or a URL, CSV or JSON.",
    )
    context_urls: str = Field(
        "",
        validation_alias="TAPELINE_CONTEXT_URLS",
        description="Other places of sources, such as a mirror: NAME=URL, comma-separated.",
    )
    context_intervals: str = Field(
        "",
        validation_alias="TAPELINE_CONTEXT_INTERVALS",
        description="How often sources are asked, over their own: NAME=SECONDS, comma-separated; 10 or more.",
    )
    cryptopanic_token: SecretStr | None = Field(
        None, validation_alias="TAPELINE_CRYPTOPANIC_TOKEN", description="CryptoPanic's API token: a secret."
    )

    @field_validator("cryptopanic_token", mode="before")
    @classmethod
    def _no_token_is_absent(cls, value: object) -> object:
        return None if value == "" else value

    @field_validator("context_sources")
    @classmethod
    def _sources_are_known(cls, value: str) -> str:
        return ",".join(dict.fromkeys(known(name) for name in listed(value)))

    @field_validator("context_feeds")
    @classmethod
    def _feeds_are_urls(cls, value: str) -> str:
        if len(listed(value)) > FEEDS_MAX:
            raise ValueError(f"more than {FEEDS_MAX} feeds")
        return ",".join(dict.fromkeys(as_url(url) for url in listed(value)))

    @field_validator("context_urls")
    @classmethod
    def _places_are_urls(cls, value: str) -> str:
        for name, url in pairs(value).items():
            if name in (RSS, TRENDS):
                raise ValueError(f"{name} has a setting of its own: TAPELINE_CONTEXT_{_OWN[name]}")
            as_url(url)
        return value

    @field_validator("context_intervals")
    @classmethod
    def _intervals_are_seconds(cls, value: str) -> str:
        for name, seconds in pairs(value).items():
            if not seconds.isdecimal() or not INTERVAL_S_MIN <= int(seconds) <= 86_400:
                raise ValueError(f"{name}={seconds}: must be whole seconds, {INTERVAL_S_MIN} to 86400")
        return value


_OWN = {RSS: "FEEDS", TRENDS: "TRENDS"}


def listed(value: str) -> list[str]:
    """Return the parts of a comma-separated list."""
    return [part.strip() for part in value.split(",") if part.strip()]


def pairs(value: str) -> dict[str, str]:
    """Return NAME=VALUE pairs by the name of a source. Raises ValueError."""
    found = {}
    for part in listed(value):
        name, equals, given = part.partition("=")
        if not equals or not given.strip():
            raise ValueError(f"{part[:60]!r} must be NAME=VALUE")
        found[known(name.strip())] = given.strip()
    return found


def known(name: str) -> str:
    """Return a source's name. Raises ValueError."""
    if name not in NAMES:
        raise ValueError(f"unknown source {name[:40]!r}; there are {', '.join(NAMES)}")
    return name


def as_url(text: str) -> str:
    """Return an http(s) URL with a host. Raises ValueError, which shows no query: a key may be in it."""
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"{text.partition('?')[0][:80]!r} must start with https:// or http:// and name a host")
    return text
