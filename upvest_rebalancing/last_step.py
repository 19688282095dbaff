"""The last step of an attempt before aiohttp writes it: put the headers on, and sign."""

from __future__ import annotations

from typing import Final, Protocol

import aiohttp

from upvest_rebalancing._version import __version__
from upvest_rebalancing.protocol.messages import Request

USER_AGENT: Final = f"upvest-rebalancing/{__version__} {aiohttp.http.SERVER_SOFTWARE}"


class SessionClosedError(aiohttp.ClientConnectionError):
    """The session was closed before the request was handed over."""


class RequestSigner(Protocol):
    """Signs a request of aiohttp's that is about to be written."""

    def complete(self, request: aiohttp.ClientRequest) -> None:
        """Put headers right that somebody else may have added."""
        ...

    async def sign(self, request: aiohttp.ClientRequest) -> str:
        """Add the signature to the request's headers, and give it, in base64."""
        ...


class LastStep:
    """The innermost middleware of an attempt: signs, and notes that aiohttp takes over from here.

    aiohttp may send an idempotent request a second time by itself, where a pooled connection turns
    out to be dead, and comes through here for it: that one has a signature of its own.

    Attributes:
        is_done: Whether aiohttp has taken over, so that anything may have been sent.
        was_done: Whether it had done so before, and this is the second time.
        secrets: What the request carries to authenticate itself.
    """

    def __init__(
        self,
        request: Request,
        signer: RequestSigner,
        bearer: str | None,
        session: aiohttp.ClientSession,
        *,
        is_foreign: bool,
    ) -> None:
        self._session = session
        self._is_foreign = is_foreign
        self._headers = {**request.headers, "user-agent": USER_AGENT}
        self._signer = signer
        self._bearer = bearer
        self.is_done = self.was_done = False
        self.secrets: tuple[str, ...] = ()

    async def __call__(
        self, request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        """Take part in aiohttp's chain of middlewares.

        Raises:
            SessionClosedError: The session was closed while the signature was made.
        """
        self.was_done = self.is_done
        headers = request.headers
        # Here and not before, where aiohttp would go through them one by one, and would take the
        # bearer for a contradiction to a .netrc.
        headers.update(self._headers)
        if self._bearer is None:
            headers.popall("authorization", None)
        else:
            headers["authorization"] = f"Bearer {self._bearer}"
        if self._is_foreign:
            self._signer.complete(request)
        signature = await self._signer.sign(request)
        if self._session.closed:
            # While the signature was made; aiohttp does not look again, and stumbles over it.
            raise SessionClosedError
        self.secrets = (signature,) if self._bearer is None else (signature, self._bearer)
        self.is_done = True
        return await handler(request)
