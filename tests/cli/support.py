"""What the tests of the command line share."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

import attrs
from typer.testing import CliRunner

from upvest_rebalancing.cli.app import app
from upvest_rebalancing.sandbox import Sandbox

PATIENCE = 60.0
"""Seconds after which something that must come about is taken not to; none of it is waited out."""


@attrs.frozen
class Served:
    """A sandbox that runs, and the file that tells clients of it."""

    sandbox: Sandbox
    env_file: Path

    @property
    def options(self) -> list[str]:
        return ["--env-file", str(self.env_file)]

    def answered(self, route: str) -> int:
        return sum(self.sandbox.counters().requests.get(route, {}).values())


@attrs.frozen
class Ended:
    """How a command ended."""

    status: int
    out: str
    err: str

    @property
    def document(self) -> dict[str, Any]:
        document = json.loads(self.out)
        assert isinstance(document, dict)
        return document


def arguments(config: Mapping[str, object]) -> dict[str, Any]:
    """Complete the settings of a sandbox with quick ones."""
    return {"order_seconds": 0, "rate_limit": None, "key_type": "ed25519", **config}


def invoke(*args: str, stdin: bytes | str | None = None) -> Ended:
    """Run a command in this process; an exception that it does not report is raised."""
    result = CliRunner().invoke(app, args, input=stdin, catch_exceptions=False)
    return Ended(result.exit_code, result.stdout, result.stderr)


def command(*args: str) -> list[str]:
    return [sys.executable, "-m", "upvest_rebalancing", *args]


def start(*args: str, **options: Any) -> subprocess.Popen[str]:
    """Start a command in a process of its own, where Ctrl-C works as it does at a terminal."""
    return subprocess.Popen(
        command(*args),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # noqa: PLW1509
        **options,
    )


def finish(process: subprocess.Popen[str]) -> Ended:
    out, err = process.communicate(timeout=PATIENCE)
    return Ended(process.returncode, out, err)


def until(condition: Callable[[], bool]) -> None:
    """Wait for something that can be observed."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "it never came about"
        time.sleep(0.01)


def write_accounts(path: Path, accounts: Sequence[UUID]) -> str:
    path.write_text("".join(f"{line}\n" for line in ("account_id", *accounts)))
    return str(path)
