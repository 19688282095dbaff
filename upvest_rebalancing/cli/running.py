"""Run a coroutine from the command line, to its end or to a signal."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Coroutine
from typing import Any, TypeVar

from upvest_rebalancing.cli.statuses import ExitStatus

T = TypeVar("T")


class StoppedError(Exception):
    """A signal ended a command; everything that it had begun is closed.

    Attributes:
        status: The exit status that says so.
    """

    def __init__(self, status: ExitStatus) -> None:
        super().__init__("interrupted" if status is ExitStatus.INTERRUPTED else "terminated")
        self.status = status


def run_until_stopped(main: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine; SIGINT and SIGTERM cancel it and let it clean up.

    A second Ctrl-C does not wait for that.

    Args:
        main: The coroutine.

    Returns:
        What it returns.

    Raises:
        StoppedError: A signal ended it.
    """
    terminated = False

    async def stoppable() -> T:
        def terminate() -> None:
            nonlocal terminated
            terminated = True
            task.cancel()

        task = asyncio.ensure_future(main)
        # Where an event loop can't take signals (on Windows), SIGTERM ends a process anyhow.
        with contextlib.suppress(NotImplementedError):
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, terminate)
        return await task

    try:
        with asyncio.Runner() as runner:
            return runner.run(stoppable())
    except KeyboardInterrupt:
        raise StoppedError(ExitStatus.INTERRUPTED) from None
    except asyncio.CancelledError:
        if not terminated:
            raise
        raise StoppedError(ExitStatus.TERMINATED) from None
