"""Alertmanager's configuration with the receivers that the settings name. It holds their secrets: write it to a file
only its user reads.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from schemas.settings import SettingsError
from services.telling.settings import TellingSettings

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
    for receiver in config["receivers"]:
        again = receiver["name"] not in QUIET
        for kind, content in _receivers(settings):
            receiver[kind] = [{**content, "send_resolved": again}]
    text: str = yaml.safe_dump(config, sort_keys=False, allow_unicode=True)
    return text


def told_by(settings: TellingSettings) -> list[str]:
    """Return the ways somebody is told, as words. Raises SettingsError like ``alertmanager_config``."""
    words = {"webhook_configs": "webhook", "email_configs": "e-mail", "telegram_configs": "Telegram"}
    return [words[kind] for kind, _ in _receivers(settings)]


def _receivers(settings: TellingSettings) -> Iterator[tuple[str, dict[str, Any]]]:
    if settings.alert_webhook_url is not None:
        yield "webhook_configs", {"url": settings.alert_webhook_url.get_secret_value()}
    if settings.alert_email_to:
        yield "email_configs", _email(settings)
    if settings.alert_telegram_token is not None:
        yield "telegram_configs", _telegram(settings)


def _email(settings: TellingSettings) -> dict[str, Any]:
    for variable, value in (
        ("TAPELINE_ALERT_SMTP", settings.alert_smtp), ("TAPELINE_ALERT_EMAIL_FROM", settings.alert_email_from),
    ):  # fmt: skip
        if not value:
            raise SettingsError(f"{variable}: is missing; TAPELINE_ALERT_EMAIL_TO needs it")
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
        if settings.alert_smtp_password is None:
            raise SettingsError("TAPELINE_ALERT_SMTP_PASSWORD is missing; TAPELINE_ALERT_SMTP_USER needs it")
        content["auth_username"] = settings.alert_smtp_user
        content["auth_password"] = settings.alert_smtp_password.get_secret_value()
    return content


def _telegram(settings: TellingSettings) -> dict[str, Any]:
    if settings.alert_telegram_chat is None:
        raise SettingsError("TAPELINE_ALERT_TELEGRAM_CHAT: is missing; TAPELINE_ALERT_TELEGRAM_TOKEN needs it")
    assert settings.alert_telegram_token is not None
    content: dict[str, Any] = {
        "bot_token": settings.alert_telegram_token.get_secret_value(),
        "chat_id": settings.alert_telegram_chat,
        "parse_mode": "",
        "message": TEXT,
    }
    if settings.alert_telegram_url:
        content["api_url"] = settings.alert_telegram_url
    return content
