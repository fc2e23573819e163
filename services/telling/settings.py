"""Settings of who is told: webhook, e-mail, Telegram; none of them by default. Imports nothing heavy."""

from __future__ import annotations

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings


class TellingSettings(BaseSettings):
    """Receivers of alerts and of the daily review, and where Alertmanager is."""

    alertmanager_url: str = Field(
        "http://127.0.0.1:9093",
        validation_alias="TAPELINE_ALERTMANAGER_URL",
        description="Alertmanager, to which the review of a day is handed.",
    )
    alert_webhook_url: SecretStr | None = Field(
        None,
        validation_alias="TAPELINE_ALERT_WEBHOOK_URL",
        description="Where alerts are posted as JSON: a secret, for such URLs carry their token.",
    )
    alert_email_to: str = Field(
        "", validation_alias="TAPELINE_ALERT_EMAIL_TO", description="Addresses alerts are mailed to, comma-separated."
    )
    alert_email_from: str = Field(
        "", validation_alias="TAPELINE_ALERT_EMAIL_FROM", description="Address the mails come from."
    )
    alert_smtp: str = Field(
        "", validation_alias="TAPELINE_ALERT_SMTP", description="Mail server that takes them: HOST:PORT."
    )
    alert_smtp_tls: bool = Field(
        True, validation_alias="TAPELINE_ALERT_SMTP_TLS", description="Whether the mail server must offer encryption."
    )
    alert_smtp_user: str = Field(
        "", validation_alias="TAPELINE_ALERT_SMTP_USER", description="Name at the mail server; empty: none asked."
    )
    alert_smtp_password: SecretStr | None = Field(
        None, validation_alias="TAPELINE_ALERT_SMTP_PASSWORD", description="Password there: a secret."
    )
    alert_telegram_token: SecretStr | None = Field(
        None, validation_alias="TAPELINE_ALERT_TELEGRAM_TOKEN", description="Token of a Telegram bot: a secret."
    )
    alert_telegram_chat: int | None = Field(
        None, validation_alias="TAPELINE_ALERT_TELEGRAM_CHAT", description="Chat the bot writes to: its number."
    )
    alert_telegram_url: str = Field(
        "", validation_alias="TAPELINE_ALERT_TELEGRAM_URL", description="Another host speaking Telegram's bot API."
    )

    @field_validator(
        "alert_webhook_url", "alert_smtp_password", "alert_telegram_token", "alert_telegram_chat", mode="before"
    )
    @classmethod
    def _nothing_is_absent(cls, value: object) -> object:
        return None if value == "" else value

    @field_validator("alert_smtp")
    @classmethod
    def _smtp_has_a_port(cls, value: str) -> str:
        host, _, port = value.rpartition(":")
        if value and not (host and port.isdigit()):
            raise ValueError("must be HOST:PORT, e.g. mail.example.com:587")
        return value

    @field_validator("alertmanager_url", "alert_telegram_url")
    @classmethod
    def _is_http(cls, value: str) -> str:
        if value and not value.startswith(("http://", "https://")):
            raise ValueError("must start with http:// or https://")
        return value.rstrip("/")
