"""Make the secrets the stack starts with, at random: ``python -m deploy.secrets [FOLDER]``. What is there stays.

One file a secret, the way containers take them. The folder is closed to other users of this machine; the files in it
are readable, because a container reads them as a user of its own.
"""

from __future__ import annotations

import secrets
import sys
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from deploy.receivers import alertmanager_config
from projections.access import READ_ROLE
from schemas.settings import SettingsError
from services.settings import load_settings
from services.telling.settings import TellingSettings
from services.telling.ways import ways

FOLDER = Path(__file__).with_name("secrets")
NAMES = ("tapeline_db_password", "tapeline_db_read_password", "tapeline_api_token", "grafana_admin_password")
EMPTY = (
    "okx_api_key", "okx_api_secret", "okx_api_passphrase", "llm_api_key", "llm_fallback_api_key", "cryptopanic_token",
)  # fmt: skip
"""Secrets only their owner has: the files are made empty, which says none, and wait to be filled."""
ALERTMANAGER = "alertmanager"
"""Alertmanager's configuration, which holds the receivers' secrets."""
DATABASE_HOST = "timescaledb:5432"


def make_secrets(folder: Path = FOLDER, *, dsn: str | None = None, telling: TellingSettings | None = None) -> list[str]:
    """Write each secret that is not there yet; return their names. ``dsn``: of another database than the stack's.

    telling: who is told, for Alertmanager's configuration, which is written anew each time; None: nobody. Raises
    SettingsError.
    """
    config = alertmanager_config(telling or TellingSettings.model_validate({}))
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    written = [name for name in NAMES if _write(folder / name, secrets.token_hex(24))]
    written += [name for name in EMPTY if _write(folder / name, "")]
    password, read_password = ((folder / name).read_text(encoding="utf-8").strip() for name in NAMES[:2])
    owner = dsn or f"postgresql://tapeline:{password}@{DATABASE_HOST}/tapeline"
    databases = {"tapeline_db": owner, "tapeline_db_read": _as_reader(owner, read_password)}
    written += [name for name, value in databases.items() if _write(folder / name, value)]
    (folder / ALERTMANAGER).unlink(missing_ok=True)
    _write(folder / ALERTMANAGER, config)
    return written


def _as_reader(dsn: str, password: str) -> str:
    """Return the address with the read role's name and password in place of the owner's."""
    parts = urlsplit(dsn)
    place = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{READ_ROLE}:{password}@{place}"))


def _write(path: Path, value: str) -> bool:
    if path.exists():
        return False
    path.write_text(value if value.endswith("\n") else value + "\n", encoding="utf-8")
    path.chmod(0o444)
    return True


def main() -> int:
    """Make the secrets in the folder given, or the stack's own; 2 when a setting does not fit."""
    try:
        telling = load_settings().service
        made = make_secrets(Path(sys.argv[1]) if sys.argv[1:] else FOLDER, telling=telling)
    except SettingsError as error:
        print(f"secrets: {error}", file=sys.stderr)
        return 2
    print(f"secrets: made {', '.join(made)}" if made else "secrets: all there")
    told = ways(telling)
    print(f"alerts: told by {', '.join(told)}" if told else "alerts: nobody is told; TAPELINE_ALERT_* in .env say who")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
