"""Use the private key, on the event loop or beside it.

A P-521 signature takes a quarter of a millisecond of computing, and a loop that makes two hundred
of them in one turn answers nobody meanwhile. The computing holds no lock of Python's, so a thread
does it on another core. An Ed25519 signature is done sooner than a thread is woken.
"""

from __future__ import annotations

import asyncio
import os
from concurrent.futures import ThreadPoolExecutor
from typing import Final, Literal, TypeAlias

import attrs

from upvest_rebalancing.protocol.keys import P521, SigningKey

SigningThreads: TypeAlias = int | Literal["auto"]

MOST_THREADS: Final = 2
"""Signing threads that "auto" starts at the most: what one event loop can keep busy."""


def threads_for(key: SigningKey, threads: SigningThreads = "auto") -> int:
    """Say how many threads are to sign with a key.

    Args:
        key: The key.
        threads: A number, or "auto".

    Returns:
        That number; for "auto" `MOST_THREADS` for a P-521 key where there is a second core, and 0,
        which signs on the event loop, otherwise.
    """
    if threads != "auto":
        return threads
    return MOST_THREADS if key.algorithm == P521 and _cores() > 1 else 0


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@attrs.define(eq=False)
class KeyWorker:
    """Sign bytes with one key, in threads of its own or without.

    The threads are started when they are first needed, and end with `close`; none is ever left
    behind that keeps the process from ending.

    Attributes:
        key: The private key.
        threads: Threads at the most; 0 signs on the event loop.
    """

    key: SigningKey
    threads: int = 0
    _executor: ThreadPoolExecutor | None = attrs.field(default=None, init=False)

    async def sign(self, data: bytes) -> bytes:
        """Sign bytes.

        Args:
            data: The bytes.

        Returns:
            The signature; see `upvest_rebalancing.protocol.keys.SigningKey.sign`.
        """
        if not self.threads:
            return self.key.sign(data)
        if self._executor is None:
            self._executor = ThreadPoolExecutor(self.threads, thread_name_prefix="upvest signing")
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._executor, self.key.sign, data)

    def close(self) -> None:
        """Let the threads end; a later signature starts new ones."""
        if self._executor is not None:
            self._executor.shutdown(wait=False, cancel_futures=True)
            self._executor = None
