"""httpx with our signer: what one writes who likes httpx better."""

from __future__ import annotations

import time
from collections.abc import Generator

import httpx

from benchmarks import pages
from benchmarks.fixtures import CLIENT_ID
from upvest_rebalancing.authentication import new_nonce
from upvest_rebalancing.protocol.signatures import Signer

_LEFT_OUT = frozenset({"host", "connection", "user-agent", "accept-encoding"})


class SigningAuth(httpx.Auth):
    """Add the token and a signature to each request.

    Args:
        signer: Signs.
    """

    def __init__(self, signer: Signer) -> None:
        self._signer = signer

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Take part in httpx's flow."""
        request.headers["authorization"] = f"Bearer {pages.TOKEN}"
        headers = {name: text for name, text in request.headers.items() if name not in _LEFT_OUT}
        signed = self._signer.sign(
            method=request.method,
            target=request.url.raw_path.decode(),
            headers=headers,
            nonce=new_nonce(),
            created=int(time.time()),
        )
        request.headers.update(signed)
        yield request


def client(signer: Signer, url: str) -> httpx.AsyncClient:
    """Make a client that signs."""
    headers = {
        "accept": "application/json",
        "upvest-api-version": "1",
        "upvest-client-id": CLIENT_ID,
    }
    return httpx.AsyncClient(base_url=url, auth=SigningAuth(signer), headers=headers)
