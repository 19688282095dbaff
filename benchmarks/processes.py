"""Run other processes, to their end or while a context lasts."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import attrs

from benchmarks.loopback import ROOT

_PATIENCE: Final = 15.0


def python(*arguments: str, timeout: float, environ: Mapping[str, str] | None = None) -> str:
    """Run a Python to its end and give what it printed.

    Raises:
        RuntimeError: It failed.
        subprocess.TimeoutExpired: It took too long, and was ended.
    """
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env={**os.environ, **(environ or {})},
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(arguments)} ended with {done.returncode}: {done.stderr}")
    return done.stdout


def walk(way: str, url: str, total: int, *, timeout: float) -> dict[str, float]:
    """Walk a list in a process of its own; see `benchmarks.walkers`.

    Returns:
        What it took: ``wall`` and ``cpu`` in seconds, ``growth`` of memory in bytes.
    """
    output = python("-m", "benchmarks.walkers", way, url, str(total), timeout=timeout)
    took: dict[str, float] = json.loads(output)
    return took


@attrs.frozen
class RunningSandbox:
    """A sandbox in a process of its own.

    Attributes:
        file: Its file of variables.
        pid: Its process.
    """

    file: Path
    pid: int

    def cpu(self) -> float | None:
        """Give the processor time that it has used so far; None where nobody says."""
        try:
            line = Path(f"/proc/{self.pid}/stat").read_text(encoding="utf-8")
        except OSError:
            return None
        # The name in parentheses may have spaces; the fields behind it are counted from 3.
        fields = line.rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextlib.contextmanager
def sandbox(directory: Path, *options: str) -> Iterator[RunningSandbox]:
    """Run the sandbox in a process of its own.

    Args:
        directory: Where its file of variables goes.
        options: What it is given on the command line.

    Yields:
        The sandbox, which listens.
    """
    file = directory / "sandbox.env"
    command = [sys.executable, "-m", "upvest_rebalancing", "sandbox", "--port", "0"]
    process = subprocess.Popen(
        [*command, "--env-file", str(file), *options],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert process.stdout is not None
        # It prints its URL once it listens; the file is there by then.
        if not process.stdout.readline():
            raise RuntimeError("the sandbox did not start")
        yield RunningSandbox(file, process.pid)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.communicate(timeout=_PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
