"""Who is told: every receiver the settings name is in Alertmanager's configuration, and amtool takes it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.receivers import alertmanager_config
from deploy.secrets import ALERTMANAGER, make_secrets
from schemas.settings import SettingsError
from services.settings import ServiceSettings, load_settings
from services.telling.ways import ways
from tests.tools import approve

WEBHOOK = {"TAPELINE_ALERT_WEBHOOK_URL": "https://hooks.example.com/T0/secret-part"}
MAIL = {
    "TAPELINE_ALERT_EMAIL_TO": "trader@example.com, night@example.com",
    "TAPELINE_ALERT_EMAIL_FROM": "tapeline@example.com",
    "TAPELINE_ALERT_SMTP": "mail.example.com:587",
    "TAPELINE_ALERT_SMTP_USER": "tapeline",
    "TAPELINE_ALERT_SMTP_PASSWORD": "mail-secret",
}
TELEGRAM = {"TAPELINE_ALERT_TELEGRAM_TOKEN": "1:telegram-secret", "TAPELINE_ALERT_TELEGRAM_CHAT": "-100123"}


def _settings(environ: dict[str, str]) -> ServiceSettings:
    return load_settings(environ=environ, env_file=None).service


@pytest.mark.parametrize(
    ("environ", "words"),
    [
        pytest.param({}, [], id="nobody"),
        pytest.param(WEBHOOK, ["webhook"], id="webhook"),
        pytest.param(MAIL, ["e-mail"], id="e-mail"),
        pytest.param(TELEGRAM, ["Telegram"], id="Telegram"),
        pytest.param(WEBHOOK | MAIL | TELEGRAM, ["webhook", "e-mail", "Telegram"], id="all"),
    ],
)
def test_amtool_takes_the_configuration_of_every_receiver(
    tmp_path: Path, environ: dict[str, str], words: list[str]
) -> None:
    settings = _settings(environ)
    assert ways(settings) == words
    make_secrets(tmp_path / "secrets", telling=settings)
    file = tmp_path / "secrets" / ALERTMANAGER
    said = approve("amtool", "check-config", str(file))
    assert "2 receivers" in said
    for receiver in yaml.safe_load(file.read_text())["receivers"]:
        assert len(receiver) == 1 + len(words), "the review goes where alerts go"


def test_it_is_written_anew_when_the_settings_change_though_secrets_stay(tmp_path: Path) -> None:
    make_secrets(tmp_path, telling=_settings(WEBHOOK))
    make_secrets(tmp_path, telling=_settings({}))
    assert "secret-part" not in (tmp_path / ALERTMANAGER).read_text()


def test_what_is_over_is_told_too_but_a_review_is_not_called_off() -> None:
    receivers: list[dict[str, Any]] = yaml.safe_load(alertmanager_config(_settings(WEBHOOK)))["receivers"]
    assert {each["name"]: each["webhook_configs"][0]["send_resolved"] for each in receivers} == {
        "operator": True,
        "review": False,
    }


@pytest.mark.parametrize(
    ("environ", "missing"),
    [
        (MAIL, "TAPELINE_ALERT_SMTP"),
        (MAIL, "TAPELINE_ALERT_EMAIL_FROM"),
        (MAIL, "TAPELINE_ALERT_SMTP_PASSWORD"),
        (TELEGRAM, "TAPELINE_ALERT_TELEGRAM_CHAT"),
    ],
)
def test_half_a_receiver_is_refused_by_the_name_of_what_is_missing(environ: dict[str, str], missing: str) -> None:
    settings = _settings({name: value for name, value in environ.items() if name != missing})
    with pytest.raises(SettingsError, match=f"{missing} is missing"):
        alertmanager_config(settings)


def test_a_mail_server_without_a_port_is_refused() -> None:
    with pytest.raises(SettingsError, match="TAPELINE_ALERT_SMTP: must be HOST:PORT"):
        _settings({"TAPELINE_ALERT_SMTP": "mail.example.com"})


def test_secrets_of_receivers_are_redacted_from_logs() -> None:
    secrets = load_settings(environ=WEBHOOK | MAIL | TELEGRAM, env_file=None).secrets()
    assert set(secrets) >= {WEBHOOK["TAPELINE_ALERT_WEBHOOK_URL"], "mail-secret", "1:telegram-secret"}
