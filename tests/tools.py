"""Programs from the system that tests run: Prometheus' and Alertmanager's (Debian packages of the same names)."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
PACKAGES = {
    "promtool": "prometheus",
    "prometheus": "prometheus",
    "amtool": "prometheus-alertmanager",
    "alertmanager": "prometheus-alertmanager",
}


def require(name: str) -> str:
    """Return a program's path; without it skip loudly, or fail under CI=true."""
    found = shutil.which(name) or shutil.which(f"prometheus-{name}")
    if found is not None:
        return found
    message = f"{name.upper()} IS NOT INSTALLED: apt-get install {PACKAGES[name]}"
    if os.environ.get("CI") == "true":
        pytest.fail(message)
    pytest.skip(message)


def approve(name: str, *arguments: str, text: str | None = None, folder: Path | None = None) -> str:
    """Run a checking program that must find nothing wrong; return what it said."""
    done = subprocess.run(
        [require(name), *arguments], input=text, cwd=folder, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def asked_by_prometheus() -> dict[str, int]:
    """Return every service that the stack's Prometheus asks, by address or by name, with its port."""
    config = yaml.safe_load((ROOT / "deploy/prometheus/prometheus.yml").read_text(encoding="utf-8"))
    targets = [
        target
        for job in config["scrape_configs"]
        for each in job.get("static_configs", ())
        for target in each["targets"]
    ]
    targets += [
        f"{name}:{each['port']}"
        for job in config["scrape_configs"]
        for each in job.get("dns_sd_configs", ())
        for name in each["names"]
    ]
    return {name: int(port) for name, _, port in (target.partition(":") for target in targets)}


def check_metrics(text: str, service: str) -> None:
    """Let promtool judge what a service serves at /metrics: format, names, help, units."""
    assert "tapeline_" in text, f"{service} serves no metric of ours"
    said = approve("promtool", "check", "metrics", text=text)
    assert not said.strip(), f"{service}: {said}"
