from __future__ import annotations

import asyncio
import logging
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.cli.support import Served, arguments
from upvest_rebalancing.cli.logs import LOGGER
from upvest_rebalancing.sandbox import Sandbox


@pytest.fixture(autouse=True)
def _clean_process(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Give each test an empty directory and environment, and take back what a command set."""
    monkeypatch.chdir(tmp_path)
    for name in ("NO_COLOR", "FORCE_COLOR", "COLUMNS", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    # asyncio takes Ctrl-C only where Python's own handler stands, and a process that was started
    # in the background may have none.
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    logger = logging.getLogger(LOGGER)
    handlers, level = list(logger.handlers), logger.level
    yield
    logger.handlers[:] = handlers
    logger.setLevel(level)
    signal.signal(signal.SIGINT, handler)


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., Served]]:
    """Start sandboxes on a thread of their own, and close them in the end."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    sandboxes: list[Sandbox] = []

    def start(**config: object) -> Served:
        sandbox = Sandbox(**arguments(config))
        asyncio.run_coroutine_threadsafe(sandbox.start(), loop).result()
        sandboxes.append(sandbox)
        return Served(sandbox, sandbox.write_env_file(tmp_path / f"served-{len(sandboxes)}.env"))

    yield start
    for sandbox in sandboxes:
        asyncio.run_coroutine_threadsafe(sandbox.close(), loop).result()
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()
