"""Start the minimal server, ask what it spends, stop it."""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Self

import attrs

from benchmarks.server import USAGE_PATH

ROOT = Path(__file__).parent.parent
_PATIENCE = 10.0


@attrs.frozen
class Usage:
    """What a server has spent so far.

    Attributes:
        cpu: Seconds of processor time.
    """

    cpu: float


class Loopback:
    """The minimal server, in a process of its own, while the context lasts.

    Args:
        latency: Seconds that each of its answers waits.
    """

    def __init__(self, latency: float = 0.0) -> None:
        self._command = [sys.executable, "-m", "benchmarks.server", "--latency", str(latency)]

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            self._command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self._process.communicate()
            raise RuntimeError(f"the server ended with {self._process.returncode}")
        self.port = int(line)
        self._control = http.client.HTTPConnection("127.0.0.1", self.port, timeout=_PATIENCE)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._control.close()
        try:
            self._process.communicate(timeout=_PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()

    @property
    def url(self) -> str:
        """Its scheme, host and port."""
        return f"http://127.0.0.1:{self.port}"

    def usage(self) -> Usage:
        """Ask what it has spent; on a connection of its own, outside of what is timed."""
        self._control.request("GET", USAGE_PATH)
        found = json.loads(self._control.getresponse().read())
        return Usage(cpu=found["cpu"])
