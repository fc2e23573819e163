"""Alertmanager's configuration with the receivers that the settings name. It holds their secrets: write it to a file
only its user reads.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml
from pydantic import SecretStr

from services.telling.settings import TellingSettings
from services.telling.ways import EMAIL, TELEGRAM, WEBHOOK, ways

BASE = Path(__file__).parent / "alertmanager" / "alertmanager.yml"
"""Routes, and receivers that tell nobody yet."""
OVER = '{{ if eq .Status "resolved" }}OVER: {{ end }}'
TEXT = (
    f"{{{{ range .Alerts }}}}{OVER}{{{{ .Annotations.summary }}}}\n"
    "{{ .Annotations.description }}\n"
    '{{ if ne .Labels.severity "review" }}since {{ .StartsAt.UTC.Format "2006-01-02 15:04:05" }} UTC\n{{ end }}\n'
    "{{ end }}"
)  # fmt: skip
SUBJECT = (
    '{{ if eq .Status "resolved" }}OVER: {{ end }}{{ (index .Alerts 0).Annotations.summary }}'
    "{{ if gt (len .Alerts) 1 }} and {{ len (slice .Alerts 1) }} more{{ end }}"
)
QUIET = ("review",)
"""Receivers of what ends without a message of its own."""


def alertmanager_config(settings: TellingSettings, *, base: Path = BASE) -> str:
    """Return the configuration as YAML. Raises SettingsError for a receiver that lacks a part, naming it."""
    config: dict[str, Any] = yaml.safe_load(base.read_text(encoding="utf-8"))
    named = ways(settings)
    for receiver in config["receivers"]:
        again = receiver["name"] not in QUIET
        for way in named:
            key, content = _CONTENT[way]
            receiver[key] = [{**content(settings), "send_resolved": again}]
    text: str = yaml.safe_dump(config, sort_keys=False, allow_unicode=True)
    return text


def _webhook(settings: TellingSettings) -> dict[str, Any]:
    return {"url": _secret(settings.alert_webhook_url)}


def _email(settings: TellingSettings) -> dict[str, Any]:
    content: dict[str, Any] = {
        "to": settings.alert_email_to,
        "from": settings.alert_email_from,
        "smarthost": settings.alert_smtp,
        "require_tls": settings.alert_smtp_tls,
        "headers": {"Subject": SUBJECT},
        "html": "",
        "text": TEXT,
    }
    if settings.alert_smtp_user:
        content["auth_username"] = settings.alert_smtp_user
        content["auth_password"] = _secret(settings.alert_smtp_password)
    return content


def _telegram(settings: TellingSettings) -> dict[str, Any]:
    content: dict[str, Any] = {
        "bot_token": _secret(settings.alert_telegram_token),
        "chat_id": settings.alert_telegram_chat,
        "parse_mode": "",
        "message": TEXT,
    }
    if settings.alert_telegram_url:
        content["api_url"] = settings.alert_telegram_url
    return content


def _secret(value: SecretStr | None) -> str:
    assert value is not None  # `ways` has looked
    return value.get_secret_value()


_CONTENT: dict[str, tuple[str, Callable[[TellingSettings], dict[str, Any]]]] = {
    WEBHOOK: ("webhook_configs", _webhook),
    EMAIL: ("email_configs", _email),
    TELEGRAM: ("telegram_configs", _telegram),
}
"""Per way: the key of Alertmanager's receiver, and what stands under it."""
