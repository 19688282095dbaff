"""Run a coroutine from the command line, to its end or to a signal."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Coroutine
from types import FrameType, TracebackType
from typing import Any, Final, Self, TypeVar

from upvest_rebalancing.cli.statuses import ExitStatus

T = TypeVar("T")

_STATUSES = {signal.SIGINT: ExitStatus.INTERRUPTED, signal.SIGTERM: ExitStatus.TERMINATED}
_LOSES_PATIENCE: Final = 3


class StoppedError(Exception):
    """A signal ended a command; everything that it had begun is closed.

    Attributes:
        status: The exit status that says so.
    """

    def __init__(self, status: ExitStatus) -> None:
        super().__init__("interrupted" if status is ExitStatus.INTERRUPTED else "terminated")
        self.status = status


class Signals:
    """Take SIGINT and SIGTERM for the length of a ``with`` block, which ends with a report.

    While a coroutine runs, the first signal cancels it and lets it clean up, and the second cuts
    the cleaning up short. While none runs, both are passed over: what is known must be said. The
    third one wins in any case; it raises `KeyboardInterrupt`.
    """

    def __init__(self) -> None:
        self._count = 0
        self._is_early = True
        self._status: ExitStatus | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[Any] | None = None
        self._handlers: dict[int, Any] = {}

    def __enter__(self) -> Self:
        # Only the main thread may set handlers, and what is ignored (by nohup, say) stays so.
        if threading.current_thread() is threading.main_thread():
            for number in _STATUSES:
                handler = signal.getsignal(number)
                if handler is not signal.SIG_IGN:
                    self._handlers[number] = handler
                    signal.signal(number, self._handle)
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)

    def run(self, main: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine; see the class for what signals do.

        Args:
            main: The coroutine.

        Returns:
            What it returns.

        Raises:
            StoppedError: A signal ended it.
        """

        async def stoppable() -> T:
            self._task, self._loop = asyncio.ensure_future(main), asyncio.get_running_loop()
            self._is_early = False
            if self._status is not None:
                self._task.cancel()
            done: T = await self._task
            return done

        try:
            try:
                with asyncio.Runner() as runner:
                    return runner.run(stoppable())
            finally:
                self._is_early, self._loop, self._task = False, None, None
        except (KeyboardInterrupt, asyncio.CancelledError):
            if self._status is None:
                raise
            raise StoppedError(self._status) from None

    def _handle(self, number: int, _: FrameType | None) -> None:
        self._count += 1
        if self._status is None and (self._is_early or self._loop is not None):
            self._status = _STATUSES[signal.Signals(number)]
        if self._count >= _LOSES_PATIENCE:
            raise KeyboardInterrupt
        loop, task = self._loop, self._task
        if loop is None or task is None or loop.is_closed():
            return
        # This also wakes the loop, which does not look at signals by itself.
        if self._count == 1:
            loop.call_soon_threadsafe(task.cancel)
        else:
            loop.call_soon_threadsafe(_cancel_all)


def _cancel_all() -> None:
    for task in asyncio.all_tasks():
        task.cancel()


def run_until_stopped(main: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine; SIGINT and SIGTERM cancel it and let it clean up.

    Args:
        main: The coroutine.

    Returns:
        What it returns.

    Raises:
        StoppedError: A signal ended it.
    """
    with Signals() as signals:
        return signals.run(main)
