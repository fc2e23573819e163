"""The way of an alert, whole and real: trader, projector, Prometheus, Alertmanager, and ears at its end."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from threading import Event as Alarm
from threading import Thread

import httpx
import yaml

from deploy.kafka.broker import free_port
from deploy.native import ROOT
from deploy.secrets import ALERTMANAGER, make_secrets
from schemas.codec import encode
from schemas.envelope import Event
from schemas.settings import TradingSettings
from schemas.topics import TOPIC_OF
from services.bootstrap import build_trader
from services.feeds.synthetic import synthetic_feed
from services.importer import import_feed
from services.metrics.serve import serve_metrics
from services.projection import MeteredProjector
from services.settings import load_settings
from streams.batch import run_batch
from streams.log.base import NewRecord
from streams.log.sqlite import SqliteLog
from streams.trader import Trader
from tests.ears import Ears
from tests.events import envelope
from tests.tools import require
from tests.waiting import eventually

TICKS = 12_000
"""Three days of history and some hours that trade, on the made-up tape."""


@dataclass
class Stand:
    """What is running. ``projector``: on a thread of its own; ``started``: processes by name."""

    log: SqliteLog
    trader: Trader
    projector: MeteredProjector
    prometheus: str
    alertmanager: str
    stop: Alarm

    def command(self, event: Event) -> None:
        """Append a command and let the trader take it."""
        topic, moment = TOPIC_OF[type(event)], self.trader.kernel.counters.clock
        record = NewRecord(topic.name, 0, b"paper", encode(envelope("command", moment, ts_event=moment), event), moment)
        self.log.append([record])
        run_batch(self.log, self.trader)


@contextmanager
def running(folder: Path, database: str, ears: Ears) -> Iterator[Stand]:
    """Start everything; yields once Prometheus has asked the projector and knows Alertmanager."""
    programs = {name: require(name) for name in ("prometheus", "alertmanager")}
    with ExitStack() as ending:
        log = SqliteLog(folder / "log.db")
        ending.callback(log.close)
        import_feed(log, islice(synthetic_feed(), TICKS), TradingSettings())
        trader = build_trader(log, 0)
        trader.start()
        run_batch(log, trader)
        stop = Alarm()
        projector, port = ending.enter_context(_projecting(folder, database, stop))
        ports = {name: free_port() for name in programs}
        make_secrets(folder / "secrets", telling=load_settings(environ=ears.settings(), env_file=None).service)
        configs = {
            "alertmanager": folder / "secrets" / ALERTMANAGER,
            "prometheus": _prometheus(folder, port, ports["alertmanager"]),
        }
        for name, program in programs.items():
            ending.enter_context(_process(folder, name, program, configs[name], ports[name]))
        urls = {name: f"http://127.0.0.1:{number}" for name, number in ports.items()}
        eventually(lambda: _answers(f"{urls['alertmanager']}/-/ready"), "Alertmanager")
        eventually(lambda: "tapeline_equity_quote" in _asked(urls["prometheus"], "tapeline_equity_quote"), "Prometheus")
        yield Stand(log, trader, projector, urls["prometheus"], urls["alertmanager"], stop)


@contextmanager
def only_alertmanager(folder: Path) -> Iterator[str]:
    """Start an Alertmanager with the stack's own rules and nobody to tell; yields its address."""
    port = free_port()
    config = ROOT / "deploy" / "alertmanager" / "alertmanager.yml"
    with _process(folder, "alertmanager", require("alertmanager"), config, port):
        url = f"http://127.0.0.1:{port}"
        eventually(lambda: _answers(f"{url}/-/ready"), "Alertmanager")
        yield url


@contextmanager
def _projecting(folder: Path, database: str, stop: Alarm) -> Iterator[tuple[MeteredProjector, int]]:
    log = SqliteLog(folder / "log.db", read_only=True)
    with MeteredProjector(log, database) as projector:
        projector.run(until_caught_up=True, stop=stop)
        with serve_metrics(projector.registry, host="127.0.0.1", port=0) as port:
            assert port is not None
            thread = Thread(target=projector.run, kwargs={"until_caught_up": False, "stop": stop})
            thread.start()
            try:
                yield projector, port
            finally:
                stop.set()
                thread.join()
    log.close()


def _prometheus(folder: Path, projector: int, alertmanager: int) -> Path:
    """Write the stack's own configuration with the one service there is here."""
    source = ROOT / "deploy" / "prometheus"
    config = yaml.safe_load((source / "prometheus.yml").read_text(encoding="utf-8"))
    config["rule_files"] = [str(source / "rules.yml")]
    config["alerting"]["alertmanagers"][0]["static_configs"][0]["targets"] = [f"127.0.0.1:{alertmanager}"]
    (job,) = (job for job in config["scrape_configs"] if job["job_name"] == "projector")
    job["static_configs"][0]["targets"] = [f"127.0.0.1:{projector}"]
    config["scrape_configs"] = [job]
    file = folder / "prometheus.yml"
    file.write_text(yaml.safe_dump(config), encoding="utf-8")
    return file


@contextmanager
def _process(folder: Path, name: str, program: str, config: Path, port: int) -> Iterator[None]:
    store = "storage.tsdb.path" if name == "prometheus" else "storage.path"
    command = [
        program,
        f"--config.file={config}",
        f"--{store}={folder / name}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    command += ["--cluster.listen-address="] if name == "alertmanager" else []
    with (folder / f"{name}.log").open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output)
    try:
        yield
    finally:
        process.terminate()
        process.wait(30)


def _asked(url: str, query: str) -> str:
    try:
        return httpx.get(f"{url}/api/v1/query", params={"query": query}, timeout=10).text
    except httpx.TransportError:
        return ""


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=10).status_code == httpx.codes.OK
    except httpx.TransportError:
        return False
