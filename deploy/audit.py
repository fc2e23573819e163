"""Ask for known vulnerabilities of everything in ``requirements.lock``: ``python -m deploy.audit``.

Uses pip-audit in an environment of its own under ``var/audit``, with the advisory source it knows. Exit 1: a known
vulnerability that ``deploy/audit-accepted.txt`` does not list with a reason. A source that does not answer, or does not
know a package, fails nothing, but is said loudly: what was not asked about is not clean.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
LOCK = ROOT / "requirements.lock"
ACCEPTED = Path(__file__).with_name("audit-accepted.txt")
ENVIRONMENT = ROOT / "var" / "audit"
TOOL = "pip-audit==2.10.1"
INSTALL_S, AUDIT_S = 90, 120
SHOWN = 10


class NotAudited(Exception):
    """Nobody could be asked; says why."""


@dataclass
class Findings:
    """What an audit came to. open, accepted: vulnerabilities as words. unknown: packages nobody answered for."""

    asked: int = 0
    open: list[str] = field(default_factory=list)
    accepted: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)

    def words(self) -> str:
        """Say it in lines for a log."""
        lines = [f"audit: {self.asked - len(self.unknown)} of {self.asked} packages checked"]
        lines += [f"audit: VULNERABLE {each}" for each in self.open]
        lines += [f"audit: accepted {each}" for each in self.accepted]
        if self.unknown:
            more = f" and {len(self.unknown) - SHOWN} more" if len(self.unknown) > SHOWN else ""
            lines.append(f"audit: NOT AUDITED, no answer about {', '.join(self.unknown[:SHOWN])}{more}")
        return "\n".join(lines)


def judge(report: Mapping[str, Any], accepted: Mapping[str, str]) -> Findings:
    """Return what pip-audit's JSON report says. ``accepted``: reasons by vulnerability id."""
    found = Findings()
    for package in report["dependencies"]:
        found.asked += 1
        if "skip_reason" in package:
            found.unknown.append(package["name"])
        for flaw in package.get("vulns", ()):
            name = f"{package['name']} {package['version']}: {flaw['id']}"
            reason = next((accepted[each] for each in (flaw["id"], *flaw.get("aliases", ())) if each in accepted), None)
            if reason is None:
                found.open.append(f"{name}, fixed in {', '.join(flaw['fix_versions']) or 'no version yet'}")
            else:
                found.accepted.append(f"{name} ({reason})")
    return found


def read_accepted(text: str) -> dict[str, str]:
    """Return the reasons by vulnerability id. Raises ValueError for one that has none."""
    accepted = {}
    for line in text.splitlines():
        identity, _, reason = line.partition(" ")
        if not identity or identity.startswith("#"):
            continue
        if not reason.strip():
            raise ValueError(f"{ACCEPTED.name}: {identity} is listed without a reason")
        accepted[identity] = reason.strip()
    return accepted


def ask(lock: Path = LOCK, environment: Path = ENVIRONMENT) -> dict[str, Any]:
    """Return pip-audit's report. Raises NotAudited."""
    tool = environment / "bin" / "pip-audit"
    if not tool.exists():
        _run([sys.executable, "-m", "venv", str(environment)], INSTALL_S)
        _run([str(environment / "bin" / "pip"), "install", "--quiet", "--disable-pip-version-check", TOOL], INSTALL_S)
    flags = ["--no-deps", "--disable-pip", "--progress-spinner", "off", "--format", "json"]
    said = _run([str(tool), "--requirement", str(lock), *flags], AUDIT_S, may_end_with=(0, 1))
    try:
        report: dict[str, Any] = json.loads(said.stdout)
        return report if report["dependencies"] else _nothing(said.stderr)
    except (ValueError, KeyError, TypeError) as error:
        raise NotAudited(f"pip-audit gave no report: {said.stderr.strip()[-300:]}") from error


def _nothing(said: str) -> dict[str, Any]:
    raise NotAudited(f"pip-audit looked at no package: {said.strip()[-300:]}")


def _run(command: list[str], limit_s: int, *, may_end_with: tuple[int, ...] = (0,)) -> subprocess.CompletedProcess[str]:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=limit_s, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NotAudited(str(error)) from error
    if done.returncode not in may_end_with:
        raise NotAudited(f"{Path(command[0]).name} ended with {done.returncode}: {done.stderr.strip()[-300:]}")
    return done


def main(source: Callable[[], Mapping[str, Any]] = ask) -> int:
    """Ask and judge; 1 for a vulnerability nobody accepted."""
    accepted = read_accepted(ACCEPTED.read_text(encoding="utf-8"))
    try:
        found = judge(source(), accepted)
    except NotAudited as error:
        print(f"audit: NOT AUDITED, no advisory source can be asked from here: {error}", file=sys.stderr)
        return 0
    print(found.words(), file=sys.stderr if found.open or found.unknown else sys.stdout)
    return 1 if found.open else 0


if __name__ == "__main__":
    raise SystemExit(main())
