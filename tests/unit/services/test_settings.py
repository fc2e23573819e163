"""Settings: the environment and `.env` in, everything unknown or invalid refused by name, secrets never shown."""

from __future__ import annotations

import re
from decimal import Decimal
from itertools import pairwise
from pathlib import Path

import pytest

from schemas.settings import STRATEGIES, SettingsError, TradingSettings
from services.logs import redact_text
from services.settings import (
    TOOL_VARIABLES,
    ServiceSettings,
    load_settings,
    secret_variables,
    service_variables,
    trading_variables,
)
from streams.core.planner.rules import RECIPES
from streams.core.signals import scores

EXAMPLE = Path(__file__).parents[3] / ".env.example"
SECRET = "plantedV4lue-9f8e7d6c5b4a"


def _refusal(**environ: str) -> str:
    with pytest.raises(SettingsError) as caught:
        load_settings(environ=environ, env_file=None)
    return str(caught.value)


def test_defaults_need_no_environment_and_trade_on_paper() -> None:
    settings = load_settings(environ={}, env_file=None)
    assert settings.trading == TradingSettings()
    assert settings.service.live_trading_enabled is False
    assert settings.service.api_port == 8000
    assert settings.service.api_token is None


def test_the_command_line_wins_over_the_environment_over_the_file(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_text("TAPELINE_RISK_BUDGET_PCT=2\nTAPELINE_API_PORT=8001\nTAPELINE_LOG=kafka://a:1\n")
    settings = load_settings(
        environ={"TAPELINE_API_PORT": "8002", "TAPELINE_LOG": "kafka://b:1", "HOME": "/root"},
        env_file=file,
        overrides={"TAPELINE_LOG": "kafka://c:1"},
    )
    assert settings.trading.risk_budget_pct == Decimal(2)
    assert settings.service.api_port == 8002
    assert settings.service.log == "kafka://c:1"


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("TAPELINE_RISK_BUDGT_PCT", "1", "did you mean TAPELINE_RISK_BUDGET_PCT?"),
        ("TAPELINE_QQQQ", "1", ".env.example lists every variable"),
        ("LIVE_TRADING_ENABLE", "true", "did you mean LIVE_TRADING_ENABLED?"),
        ("TAPELINE_RISK_BUDGET_PCT", "11", "must be between 0 and 10"),
        ("TAPELINE_RISK_BUDGET_PCT", "lots", "must be a decimal number"),
        ("TAPELINE_NOTIONAL_MAX", "1e999999", "must be a decimal number"),
        ("TAPELINE_COLLAR_PCT", "1e-30", "must be a decimal number"),
        ("TAPELINE_COLLAR_PCT", "NaN", "must be a decimal number"),
        ("TAPELINE_COOLDOWN_S", "9" * 20, "must be a whole number"),
        ("TAPELINE_COOLDOWN_S", "9" * 5000, "must be a whole number"),
        ("TAPELINE_RULES_ENABLED", "maybe", "must be true or false"),
        ("TAPELINE_INSTRUMENTS_ALLOWED", "BTC-USDT,eth/usdt", "eth/usdt: must be like BTC-USDT-SWAP"),
        ("TAPELINE_MARGIN_MODE", "HEDGED", "must be one of ISOLATED, CROSS"),
        ("TAPELINE_DRAWDOWN_WARN_PCT", "40", "must be below drawdown_halt_pct"),
        ("TAPELINE_DRAWDOWN_HALT_PCT", "25", "TAPELINE_DRAWDOWN_WARN_PCT=30: must be below drawdown_halt_pct"),
        ("TAPELINE_API_PORT", "80000", "less than or equal to 65535"),
        ("TAPELINE_API_PORT", "http", "valid integer"),
        ("TAPELINE_LOG", "redis://x", "must start with sqlite:///"),
        ("TAPELINE_DB", "mysql://x", "must start with embedded:"),
        ("TAPELINE_LOG_LEVEL", "LOUD", "must be DEBUG, INFO, WARNING or ERROR"),
        ("LIVE_TRADING_ENABLED", "true", "true goes with TAPELINE_MODE=live only; the mode is paper"),
        ("TAPELINE_MODE", "real", "'paper', 'demo' or 'live'"),
        ("OKX_REGION", "mars", "'global', 'eea' or 'us'"),
        ("OKX_REST_URL", "www.okx.com", "must start with https://"),
        ("OKX_POSITION_MODE", "hedge", "'net' or 'long_short'"),
        ("OKX_APIKEY", "x", "did you mean OKX_API_KEY?"),
        ("OKX_API_KEY_FILE", "/no/such/file", "No such file or directory"),
        ("LIVE_TRADING_ENABLED", "yes please", "valid boolean"),
    ],
)
def test_an_unknown_or_invalid_variable_stops_the_start_and_is_named(name: str, value: str, says: str) -> None:
    message = _refusal(**{name: value})
    assert message.startswith("TAPELINE_DRAWDOWN_" if "DRAWDOWN" in name else name)
    assert says in message


def test_every_problem_is_named_at_once() -> None:
    bad = ("TAPELINE_API_PORT", "TAPELINE_SEED", "TAPELINE_FOO", "TAPELINE_COLLAR_PCT", "TAPELINE_MARGIN_MODE")
    message = _refusal(**dict.fromkeys(bad, "x"))
    assert [name for name in bad if name not in message] == []


def test_a_strategy_there_is_not_stops_the_start() -> None:
    assert set(STRATEGIES) == set(scores.STRATEGIES) == set(RECIPES)
    assert _refusal(TAPELINE_STRATEGIES="trend,trned") == (
        "TAPELINE_STRATEGIES=trned: must be among trend, mean_reversion, breakout"
    )


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        ("TAPELINE_RISK_BUDGET_PCT 0.1\n", "line 1: sets nothing; write NAME=VALUE"),
        ("# a comment\n\nTAPELINE_RISK_BUDGET_PCT: 0.1\n", "line 3: sets nothing; write NAME=VALUE"),
        ("TAPELINE_SHARDS\n", "line 1: sets nothing; write NAME=VALUE"),
        (
            "TAPELINE_RISK_BUDGET_PCT=0.1\nTAPELINE_SHARDS=1\nTAPELINE_RISK_BUDGET_PCT=9\n",
            "line 3: TAPELINE_RISK_BUDGET_PCT was set in line 1; leave one",
        ),
    ],
)
def test_a_line_that_would_leave_a_default_in_force_unseen_stops_the_start(
    tmp_path: Path, lines: str, says: str
) -> None:
    file = tmp_path / ".env"
    file.write_text(lines)
    with pytest.raises(SettingsError) as refused:
        load_settings(environ={}, env_file=file)
    assert says in str(refused.value)


def test_every_name_in_our_own_file_must_be_known(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_text("OKX_SECRET=1\n")
    with pytest.raises(SettingsError, match=r"OKX_SECRET .*unknown variable; did you mean OKX_API_SECRET\?"):
        load_settings(environ={}, env_file=file)


def test_foreign_variables_of_the_environment_are_left_alone() -> None:
    load_settings(environ={"PATH": "/bin", "OPENAI_API_KEY": "x", "TAPELINE_SHARED_DATA": "/data"}, env_file=None)


def test_a_short_token_is_refused_without_showing_it() -> None:
    message = _refusal(TAPELINE_API_TOKEN="short")
    assert "TAPELINE_API_TOKEN must have at least 16 characters" in redact_text(message)
    assert "short" not in message


def test_no_secret_shows_in_errors_or_in_the_settings_themselves() -> None:
    secrets = {name: SECRET for name in ("TAPELINE_API_TOKEN", "OKX_API_KEY", "OKX_API_SECRET", "OKX_API_PASSPHRASE")}
    assert SECRET not in _refusal(**secrets, TAPELINE_DB=f"mysql://u:{SECRET}@h/db", TAPELINE_API_PORT="x")
    settings = load_settings(environ=secrets, env_file=None)
    assert SECRET not in repr(settings.service)
    assert SECRET not in settings.service.model_dump_json()
    assert set(settings.secrets()) == {SECRET}


def test_any_secret_may_come_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text(SECRET + "\n")
    environ = {name + "_FILE": str(file) for name in secret_variables() if name != "TAPELINE_DB"}
    settings = load_settings(environ=environ, env_file=None)
    assert settings.service.okx_api_passphrase is not None
    assert settings.service.okx_api_passphrase.get_secret_value() == SECRET
    assert set(settings.secrets()) == {SECRET}
    assert {"TAPELINE_API_TOKEN_FILE", "TAPELINE_CRYPTOPANIC_TOKEN_FILE", "TAPELINE_LLM_API_KEY_FILE"} <= environ.keys()


@pytest.mark.parametrize(
    ("content", "says"),
    [(b"", "one line"), (b"a\nb\n", "one line"), (b"x" * 5000, "longer than"), (b"\xff\xfe", "not UTF-8")],
)
def test_a_file_that_is_no_secret_is_refused_without_showing_it(tmp_path: Path, content: bytes, says: str) -> None:
    file = tmp_path / "secret"
    file.write_bytes(content)
    message = _refusal(TAPELINE_API_TOKEN_FILE=str(file))
    assert message.startswith(f"TAPELINE_API_TOKEN_FILE={file}: ")
    assert says in message


def test_an_empty_file_of_a_venue_key_means_none(tmp_path: Path) -> None:
    """The stack hands the three files over in every mode; paper needs none, and the gateway names what it misses."""
    file = tmp_path / "okx_api_key"
    file.write_text("")
    settings = load_settings(environ={"OKX_API_KEY_FILE": str(file), "OKX_API_KEY": ""}, env_file=None)
    assert settings.service.okx_api_key is None


def test_a_secret_given_twice_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("one")
    message = _refusal(OKX_API_KEY_FILE=str(file), OKX_API_KEY=SECRET)
    assert "OKX_API_KEY is set as well" in message
    assert SECRET not in message


def test_live_mode_and_its_switch_load_together() -> None:
    environ = {"LIVE_TRADING_ENABLED": "true", "TAPELINE_MODE": "live", "OKX_REST_URL": "http://127.0.0.1:1/"}
    service = load_settings(environ=environ, env_file=None).service
    assert (service.live_trading_enabled, service.mode, service.okx_rest_url) == (True, "live", "http://127.0.0.1:1")


def test_an_empty_secret_is_no_secret() -> None:
    assert load_settings(environ={"TAPELINE_API_TOKEN": "", "OKX_API_KEY": ""}, env_file=None).service.api_token is None


def test_the_example_documents_every_variable_with_its_default(tmp_path: Path) -> None:
    rows = re.findall(r"^#([A-Z0-9_]+)=(.*)$", EXAMPLE.read_text(), re.MULTILINE)
    assert sorted(name for name, _ in rows) == sorted({*service_variables(), *trading_variables(), *TOOL_VARIABLES})
    uncommented = tmp_path / ".env"
    uncommented.write_text("".join(f"{name}={value}\n" for name, value in rows))
    settings = load_settings(environ={}, env_file=uncommented)
    assert settings.trading == TradingSettings()
    assert settings.service == ServiceSettings()


def test_every_variable_has_words_of_its_own() -> None:
    lines = EXAMPLE.read_text().splitlines()
    bare = [line for above, line in pairwise(lines) if re.match(r"#[A-Z0-9_]+=", line) and not above]
    assert bare == []
