"""Upvest's own package: its signer by itself, and over requests.

It signs with ECDSA whatever the key is, so an Ed25519 key can't be used with it; where it is set
against clients that sign with Ed25519, it signs with P-521 all the same.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Self

import requests
from upvest_investment_api import UpvestHttpMessageSigner, UpvestRequestsAuth

from benchmarks.fixtures import CLIENT_ID, KEY_ID, PASSPHRASE, SECRET, Key
from benchmarks.measuring import Turn

_PATIENCE = 30.0


def signer(key: Key) -> UpvestHttpMessageSigner:
    """Make the package's signer, for a key on P-521."""
    return UpvestHttpMessageSigner(
        private_key_pem=key.encrypted_pem,
        private_key_passphrase=PASSPHRASE,
        key_id=KEY_ID,
        client_id=CLIENT_ID,
    )


class UpvestClient:
    """GET one URL with the package's authentication over requests, in any number of threads.

    Each thread has a session of its own, as sessions promise nothing to threads that share one.

    Args:
        key: A key on P-521.
        url: What to get.
        threads: How many threads there are at the most.
    """

    def __init__(self, key: Key, url: str, threads: int) -> None:
        self._url = url
        self._auth = UpvestRequestsAuth(
            private_key_pem=key.encrypted_pem,
            private_key_passphrase=PASSPHRASE,
            key_id=KEY_ID,
            client_id=CLIENT_ID,
            client_secret=SECRET,
            scopes=["portfolios:admin"],
        )
        self._own = threading.local()
        self._sessions: list[requests.Session] = []
        self._pool = ThreadPoolExecutor(threads)

    def __enter__(self) -> Self:
        # The token is fetched now, or every thread would fetch one of its own at the start.
        self._get()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._pool.shutdown()
        for session in self._sessions:
            session.close()

    def turn(self, *, threads: int, seconds: float) -> Turn:
        """Make a turn of this many threads."""

        def turn() -> int:
            end = time.perf_counter() + seconds
            ends: Iterable[float] = [end] * threads
            return sum(self._pool.map(self._until, ends))

        return turn

    def _until(self, end: float) -> int:
        count = 0
        while time.perf_counter() < end:
            self._get()
            count += 1
        return count

    def _get(self) -> None:
        session = getattr(self._own, "session", None)
        if session is None:
            session = self._own.session = requests.Session()
            self._sessions.append(session)
        response = session.get(self._url, auth=self._auth, timeout=_PATIENCE)
        response.raise_for_status()
        response.json()
