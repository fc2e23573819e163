"""What a make target would let ``docker compose run`` do, read from ``make -n``, and the same done without Docker."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from deploy.native import ROOT, Stack

COMPOSE = ("docker", "compose")


@dataclass(frozen=True)
class Run:
    """One ``docker compose run``: a service, the folders mounted into it (there -> here) and its arguments."""

    service: str
    arguments: tuple[str, ...]
    mounts: dict[str, str]
    writable: frozenset[str]


def lines_of(target: str, **variables: str) -> list[list[str]]:
    """Return the words of each line a target would run."""
    given = [f"{name}={value}" for name, value in variables.items()]
    done = subprocess.run(["make", "-n", target, *given], cwd=ROOT, capture_output=True, text=True, check=True)
    lines = done.stdout.replace("\\\n", " ").splitlines()  # where the environment is made anew, a line has two parts
    return [shlex.split(line, comments=True) for line in lines]


def runs_of(lines: list[list[str]]) -> list[Run]:
    """Return the containers these lines would run."""
    found = []
    for words in lines:
        if tuple(words[:2]) != COMPOSE or "run" not in words:
            continue
        rest, mounts, writable = words[words.index("run") + 1 :], {}, set()
        while rest[0].startswith("-"):
            if rest.pop(0) == "-v":
                here, there, *mode = rest.pop(0).split(":")
                mounts[there] = here
                writable |= {there} if mode != ["ro"] else set()
        found.append(Run(rest[0], tuple(rest[1:]), mounts, frozenset(writable)))
    return found


def do(stack: Stack, run: Run, **more: str) -> str:
    """Run the same command with the service's own variables, and ``more`` over them; return what it said."""
    words = [run.mounts.get(word, word) for word in run.arguments]
    environment = {**os.environ, **stack.places.environment(run.service), **more}
    done = subprocess.run(
        [sys.executable, "-m", "services.cli", *words], env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, f"{run.service} {shlex.join(words)}: {done.stdout}{done.stderr}"
    return done.stdout + done.stderr


def write_secret(stack: Stack, name: str, text: str) -> str:
    """Write another file among the stack's secrets; return its path."""
    path = Path(stack.folder / "secrets" / name)
    path.write_text(text + "\n", encoding="utf-8")
    return str(path)
