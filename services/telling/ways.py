"""By which ways somebody is told, and whether the settings name all that each of them needs."""

from __future__ import annotations

from collections.abc import Iterator

from schemas.settings import SettingsError
from services.telling.settings import TellingSettings

WEBHOOK, EMAIL, TELEGRAM = "webhook", "e-mail", "Telegram"


def ways(settings: TellingSettings) -> list[str]:
    """Return the ways the settings name. Raises SettingsError for one that lacks a part, naming it."""
    for needed_by, variable, is_there in _needs(settings):
        if not is_there:
            raise SettingsError(f"{variable} is missing; {needed_by} needs it")
    named = (
        (WEBHOOK, settings.alert_webhook_url is not None),
        (EMAIL, bool(settings.alert_email_to)),
        (TELEGRAM, settings.alert_telegram_token is not None),
    )
    return [way for way, is_named in named if is_named]


def _needs(settings: TellingSettings) -> Iterator[tuple[str, str, bool]]:
    if settings.alert_email_to:
        yield "TAPELINE_ALERT_EMAIL_TO", "TAPELINE_ALERT_SMTP", bool(settings.alert_smtp)
        yield "TAPELINE_ALERT_EMAIL_TO", "TAPELINE_ALERT_EMAIL_FROM", bool(settings.alert_email_from)
    if settings.alert_email_to and settings.alert_smtp_user:
        yield "TAPELINE_ALERT_SMTP_USER", "TAPELINE_ALERT_SMTP_PASSWORD", settings.alert_smtp_password is not None
    if settings.alert_telegram_token is not None:
        yield "TAPELINE_ALERT_TELEGRAM_TOKEN", "TAPELINE_ALERT_TELEGRAM_CHAT", settings.alert_telegram_chat is not None
