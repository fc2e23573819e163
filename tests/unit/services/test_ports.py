"""A port in use: one line that names it, who asked for it and what to do, and nothing else started."""

from __future__ import annotations

import logging
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from services import cli
from services.metrics.serve import serve_metrics
from services.ports import Address, CannotListen, refuse_taken

METRICS = "give another port: --metrics-port or TAPELINE_METRICS_PORT"
API = "give another port: --port or TAPELINE_API_PORT"


@pytest.fixture
def taken() -> Iterator[int]:
    """A port of this machine on which somebody else listens."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        yield int(other.getsockname()[1])


@pytest.mark.parametrize(
    ("command", "says"),
    [
        (["worker", "--metrics-port"], METRICS),
        (["adapters", "--metrics-port"], METRICS),
        (["llm", "--metrics-port"], METRICS),
        (["gateway", "okx", "--metrics-port"], METRICS),
        (["gateway", "okx-market", "--metrics-port"], METRICS),
        (["replay", "verify", "--every", "24", "--metrics-port"], METRICS),
        (["review", "day", "--daily", "--db", "postgresql://nobody@127.0.0.1:1/none", "--metrics-port"], METRICS),
        (["api", "--port"], API),
        (["run", "--api", "--port"], API),
    ],
    ids=lambda value: " ".join(value[:2]) if isinstance(value, list) else "",
)
def test_a_port_in_use_is_one_line_and_exit_3(
    command: list[str],
    says: str,
    taken: int,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    monkeypatch.setattr("signal.signal", lambda *_: None)  # the commands' handlers would outlive this test
    monkeypatch.setenv("TAPELINE_ALERT_WEBHOOK_URL", "http://127.0.0.1:9/")
    with pytest.raises(SystemExit) as ended:
        cli.main([*command, str(taken)])
    captured = capsys.readouterr()
    assert captured.err.splitlines()[-1] == (
        f"tapeline: 127.0.0.1:{taken}: in use by another program; stop it, or {says}"
    )
    assert (ended.value.code, captured.out) == (3, "")
    assert "Traceback" not in captured.err
    assert "http://" not in captured.err


def test_run_does_not_give_one_metrics_port_to_all_its_services(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    monkeypatch.setenv("TAPELINE_METRICS_PORT", "9100")
    with pytest.raises(SystemExit) as ended:
        cli.main(["run"])
    says = "tapeline: TAPELINE_METRICS_PORT=9100: the services of `run` cannot share a port; "
    assert (ended.value.code, capsys.readouterr().err) == (2, f"{says}0 gives each a free one, empty none\n")


def test_run_in_a_mode_of_okx_does_not_trade_on_paper(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    monkeypatch.setenv("TAPELINE_MODE", "live")
    with pytest.raises(SystemExit) as ended:
        cli.main(["run", "--feed", "okx"])
    assert ended.value.code == 2
    assert "TAPELINE_MODE=live with TAPELINE_VENUE=PAPER: this would trade on paper" in capsys.readouterr().err


def test_an_address_of_another_machine_names_the_host(taken: int) -> None:
    elsewhere = Address("192.0.2.1", taken, "--host", "--port")  # TEST-NET-1 of RFC 5737 is nobody's
    with pytest.raises(CannotListen, match=r"192\.0\.2\.1:\d+: cannot listen there: .*; give an address of .*: --host"):
        refuse_taken(elsewhere)
    with (
        pytest.raises(CannotListen, match="TAPELINE_METRICS_HOST"),
        serve_metrics(CollectorRegistry(), host="192.0.2.1", port=taken),
    ):
        pass


def test_a_free_port_is_left_free(taken: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        free = int(gone.getsockname()[1])
    refuse_taken(Address("127.0.0.1", free, "--host", "--port"))
    with socket.create_server(("127.0.0.1", free)):
        pass
