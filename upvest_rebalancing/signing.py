"""Use the private key, on the event loop or beside it.

A P-521 signature takes a quarter of a millisecond of computing, and a loop that makes two hundred
of them in one turn answers nobody meanwhile. The computing holds no lock of Python's, so a thread
does it on another core, and the loop lends a hand while signatures pile up: one in each of its
turns, so that it comes round to everything else in time. An Ed25519 signature is done sooner than a
thread is woken.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Final, Literal, TypeAlias

import attrs

from upvest_rebalancing.protocol.keys import P521, SigningKey

SigningThreads: TypeAlias = int | Literal["auto"]

AHEAD: Final = 2
"""Signatures for each thread that the loop leaves alone: it must not find nothing to do."""

_Order: TypeAlias = tuple[bytes, asyncio.Future[bytes]]


def threads_for(key: SigningKey, threads: SigningThreads = "auto") -> int:
    """Say how many threads are to sign with a key.

    Args:
        key: The key.
        threads: A number, or "auto".

    Returns:
        That number; for "auto" 1 for a P-521 key where there is a second core, and 0, which signs
        on the event loop, otherwise.
    """
    if threads != "auto":
        return threads
    return int(key.algorithm == P521 and _cores() > 1)


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@attrs.define(eq=False, repr=False)
class KeyWorker:
    """Sign bytes with one key, in threads of its own or without.

    Threads are for the event loop that it was opened on: they start when they are first needed, and
    end with `close` once all that was asked for is signed. Elsewhere, before and after, it signs on
    the running loop. No thread ever keeps the process from ending.

    Attributes:
        key: The private key.
        threads: Threads; 0 signs on the event loop.
    """

    key: SigningKey
    threads: int = 0
    _crew: _Crew | None = attrs.field(default=None, init=False)
    _loop: asyncio.AbstractEventLoop | None = attrs.field(default=None, init=False)

    def open(self) -> None:
        """Let threads sign for the running event loop from now on, where there are to be any."""
        self._loop = asyncio.get_running_loop() if self.threads else None

    async def sign(self, data: bytes) -> bytes:
        """Sign bytes.

        Args:
            data: The bytes.

        Returns:
            The signature; see `upvest_rebalancing.protocol.keys.SigningKey.sign`.
        """
        if self._loop is None or self._loop is not asyncio.get_running_loop():
            return self.key.sign(data)
        if self._crew is None:
            self._crew = _Crew(self.key.sign, self.threads, self._loop)
        return await self._crew.ask(data)

    def close(self) -> None:
        """Let the threads end."""
        self._loop = None
        if self._crew is not None:
            self._crew.dismiss()
            self._crew = None


class _Crew:
    """Threads that sign, for one event loop.

    An executor would do the same at twice the cost: it wakes the loop for each result, and each
    time the thread has to wait for Python's lock, which a busy loop seldom gives up. Here a thread
    puts its result down, and wakes the loop only where nobody is about to look.
    """

    def __init__(
        self, sign: Callable[[bytes], bytes], threads: int, loop: asyncio.AbstractEventLoop
    ) -> None:
        self._sign = sign
        self._loop = loop
        self._asked: SimpleQueue[_Order | None] = SimpleQueue()
        self._signed: deque[tuple[asyncio.Future[bytes], bytes | Exception]] = deque()
        self._is_awake = False
        self._threads = [
            threading.Thread(target=self._work, name=f"upvest signing {n}", daemon=True)
            for n in range(threads)
        ]
        for thread in self._threads:
            thread.start()

    async def ask(self, data: bytes) -> bytes:
        future: asyncio.Future[bytes] = self._loop.create_future()
        self._asked.put((data, future))
        if not self._is_awake:
            self._is_awake = True
            self._loop.call_soon(self._look)
        return await future

    def dismiss(self) -> None:
        for _ in self._threads:
            self._asked.put(None)

    def _work(self) -> None:
        while (order := self._asked.get()) is not None:
            data, future = order
            if not future.done():
                self._signed.append((future, self._result(data)))
            if not self._is_awake:
                self._is_awake = True
                try:
                    self._loop.call_soon_threadsafe(self._look)
                except RuntimeError:
                    return  # The loop is closed, and nobody waits any more.

    def _result(self, data: bytes) -> bytes | Exception:
        try:
            return self._sign(data)
        except StopIteration as error:
            # A future does not take it.
            return RuntimeError(f"the key raised {error!r}")
        except Exception as error:  # noqa: BLE001 - raised where the signature is waited for
            return error

    def _look(self) -> None:
        """Hand out what is signed, and lend a hand; once in a turn of the loop."""
        self._hand_out()
        if self._asked.qsize() > AHEAD * len(self._threads):
            # Before the work, which a KeyboardInterrupt may end.
            self._loop.call_soon(self._look)
            with suppress(Empty):
                order = self._asked.get_nowait()
                if order is None:
                    self._asked.put(order)
                else:
                    _settle(order[1], self._result(order[0]))
            return
        self._is_awake = False
        # A thread that found the loop awake a moment ago has not woken it.
        self._hand_out()

    def _hand_out(self) -> None:
        while self._signed:
            _settle(*self._signed.popleft())


def _settle(future: asyncio.Future[bytes], result: bytes | Exception) -> None:
    if future.done():
        return  # Whoever asked was cancelled.
    if isinstance(result, Exception):
        future.set_exception(result)
    else:
        future.set_result(result)
