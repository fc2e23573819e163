"""litellm as it is loaded: nobody is asked anything at import, nothing is reported, nothing reads .env."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]
PROGRAM = """
import os, socket
def impossible(*_, **__):
    raise SystemExit("the network was asked")
socket.socket.connect = socket.socket.connect_ex = socket.create_connection = socket.getaddrinfo = impossible
from services.llm.provider import Form, Provider
provider = Provider()
assert provider.prices("openai/gpt-5-mini") is not None
assert provider.best_form("openai/gpt-5-mini") is Form.SCHEMA
for model in ("ollama/qwen3:8b", "ollama_chat/qwen3:8b"):
    assert provider.best_form(model) is Form.SCHEMA
    assert provider.prices(model) is None
assert provider.best_form("deepseek/deepseek-chat") is Form.OBJECT
from litellm.anthropic_beta_headers_manager import _load_beta_headers_config
assert _load_beta_headers_config()
import litellm
lists = ("callbacks", "success_callback", "failure_callback", "input_callback", "service_callback")
print([getattr(litellm, name) for name in lists], litellm.telemetry, os.environ.get("TAPELINE_FROM_A_FILE"))
"""


def test_loading_it_asks_nobody_reports_nothing_and_reads_no_file_of_ours(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("TAPELINE_FROM_A_FILE=1\n")
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], cwd=tmp_path, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True,
        timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[[], [], [], [], []] False None"
    assert done.stderr == ""
