"""Access tokens and signatures as aiohttp client middlewares.

Put ``(bearer, signing)`` on any ``ClientSession``, in this order, and it can call every endpoint of
the Upvest API. Both touch only requests to the API's own origin: credentials go nowhere else, not
after a redirect either.
"""

from __future__ import annotations

import asyncio
import base64
import os
from collections.abc import Awaitable, Callable
from functools import lru_cache
from typing import Final

import aiohttp
import attrs
from aiohttp.payload import Payload
from yarl import URL

from upvest_rebalancing.errors import ClientClosedError, InvalidRequestError
from upvest_rebalancing.protocol.endpoints import API_VERSION, TOKEN_PATH
from upvest_rebalancing.protocol.signatures import (
    COVERED_HEADERS,
    Signer,
    content_digest,
    signature_headers,
)
from upvest_rebalancing.protocol.tokens import Token, needs_refresh
from upvest_rebalancing.signing import KeyWorker
from upvest_rebalancing.transport import payload as as_payload

_UNAUTHORIZED: Final = 401


def new_nonce() -> str:
    """Make a nonce: 128 random bits, as 32 hexadecimal digits."""
    return os.urandom(16).hex()


@attrs.define(eq=False, repr=False, kw_only=True)
class TokenSource:
    """Keep one token for any number of tasks, and fetch it once for all that wait.

    A failed fetch reaches every task that waits for it and is not kept: the next one tries anew.

    Attributes:
        fetch: Fetches a token.
        clock: Gives the seconds that tokens are measured with; it never goes back.
    """

    fetch: Callable[[], Awaitable[Token]]
    clock: Callable[[], float]
    _token: Token | None = attrs.field(default=None, init=False, repr=False)
    _fetching: asyncio.Task[Token] | None = attrs.field(default=None, init=False, repr=False)

    @property
    def at_hand(self) -> Token | None:
        """A token that has some life left, if there is one."""
        return None if needs_refresh(self._token, self.clock()) else self._token

    async def get(self) -> Token:
        """Give a token that has some life left, fetched now if need be.

        Raises:
            TokenError: None could be had.
            ClientClosedError: The source was closed meanwhile.
        """
        token = self.at_hand
        if token is not None:
            return token
        if self._fetching is None:
            self._fetching = asyncio.create_task(self._fetch(), name="upvest token")
            self._fetching.add_done_callback(self._fetched)
        fetching = self._fetching
        try:
            # Shielded: a waiter that is cancelled must not take the token from the others.
            return await asyncio.shield(fetching)
        except asyncio.CancelledError:
            if fetching.cancelled() and not _is_being_cancelled():
                raise ClientClosedError("the client was closed in mid-call") from None
            raise

    async def renew(self) -> Token:
        """Fetch a token even if there is one with some life left.

        Raises:
            TokenError: None could be had.
            ClientClosedError: The source was closed meanwhile.
        """
        self._token = None
        return await self.get()

    def reject(self, token: Token) -> None:
        """Say that the server refused a token; it is dropped unless another is in its place."""
        if self._token is token:
            self._token = None

    async def close(self) -> None:
        """End a fetch that is under way, and forget the token."""
        self._token = None
        if self._fetching is not None:
            self._fetching.cancel()
            await asyncio.wait([self._fetching])

    async def _fetch(self) -> Token:
        self._token = await self.fetch()
        return self._token

    def _fetched(self, task: asyncio.Task[Token]) -> None:
        self._fetching = None
        if not task.cancelled():
            # Read here, or asyncio warns of it where every waiter was cancelled meanwhile.
            task.exception()


@attrs.frozen(eq=False, repr=False, kw_only=True)
class BearerMiddleware:
    """Add the bearer token; renew it once where the server refuses it.

    Attributes:
        tokens: Where tokens come from.
        origin: The API's scheme, host and port; requests elsewhere pass untouched.
    """

    tokens: TokenSource
    origin: str

    async def __call__(
        self, request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        """Take part in aiohttp's chain of middlewares.

        Raises:
            TokenError: No token could be had.
        """
        if not _is_at(request.url, self.origin) or request.url.raw_path == TOKEN_PATH:
            return await handler(request)
        token = await self.tokens.get()
        request.headers["authorization"] = f"Bearer {token.access_token}"
        response = await handler(request)
        if response.status != _UNAUTHORIZED:
            return response
        # A pool of one connection would deadlock on an answer that is still held.
        await response.read()
        self.tokens.reject(token)
        token = await self.tokens.get()
        request.headers["authorization"] = f"Bearer {token.access_token}"
        return await handler(request)


@attrs.frozen(eq=False, repr=False, kw_only=True)
class SigningMiddleware:
    """Sign every request afresh, from the bytes that go out; it must be the innermost one.

    It adds the headers that Upvest asks for where they are missing, among them
    ``upvest-client-id`` and, with a body, ``content-digest``.

    Attributes:
        signer: The key, its id and the signatures' lifetime.
        worker: Uses the key, in threads or without; on the event loop unless told otherwise.
        client_id: The tenant's client id.
        origin: The API's scheme, host and port; requests elsewhere pass untouched.
        now: Gives the time in seconds since 1970.
        nonce: Makes a string that is used once.
    """

    signer: Signer
    worker: KeyWorker = attrs.field()
    client_id: str
    origin: str
    now: Callable[[], float]
    nonce: Callable[[], str] = new_nonce

    @worker.default
    def _sign_on_the_loop(self) -> KeyWorker:
        return KeyWorker(self.signer.key)

    async def __call__(
        self, request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        """Take part in aiohttp's chain of middlewares.

        Raises:
            InvalidRequestError: The body is compressed on the way out, which can't be signed.
        """
        if _is_at(request.url, self.origin):
            self.complete(request)
            await self.sign(request)
        return await handler(request)

    def complete(self, request: aiohttp.ClientRequest) -> None:
        """Add what Upvest asks for beside the signature, to a request or a session of the user's.

        Args:
            request: The request; its headers are changed.
        """
        headers = request.headers
        if request.url.raw_path == TOKEN_PATH:
            # A session or a .netrc may have added credentials that are none of this endpoint's.
            headers.popall("authorization", None)
        # aiohttp sends */* unless told otherwise, and Upvest answers 406 to that.
        if headers.get("accept", "*/*") == "*/*":
            headers["accept"] = "application/json"
        headers.setdefault("upvest-api-version", API_VERSION)
        headers["upvest-client-id"] = self.client_id
        headers.popall("content-digest", None)
        for name in COVERED_HEADERS:
            # One line in the signature base (RFC 9421, section 2.1), so one on the wire.
            if len(values := headers.getall(name, ())) > 1:
                headers[name] = ", ".join(values)

    async def sign(self, request: aiohttp.ClientRequest) -> str:
        """Sign a request that is complete but for its signature and its digest.

        Args:
            request: The request; its headers are changed.

        Returns:
            The signature, in base64.

        Raises:
            InvalidRequestError: The body is compressed on the way out, which can't be signed.
        """
        headers = request.headers
        body = await _body(request)
        if body:
            headers["content-digest"] = content_digest(body)
        parameters, base = self.signer.prepare(
            method=request.method,
            target=request.url.raw_path_qs,
            headers=headers,
            nonce=self.nonce(),
            created=int(self.now()),
        )
        signature = base64.b64encode(await self.worker.sign(base)).decode()
        headers.update(signature_headers(parameters, signature))
        return signature


def _is_being_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _is_at(url: URL, origin: str) -> bool:
    return url.origin() == _origin(origin)


@lru_cache(maxsize=16)
def _origin(url: str) -> URL:
    return URL(url).origin()


async def _body(request: aiohttp.ClientRequest) -> bytes:
    payload = request.body
    if not isinstance(payload, Payload):
        return bytes(payload)
    if "content-encoding" in request.headers:
        raise InvalidRequestError(
            "the request's body is compressed on the way out, after it would be signed; "
            "send it without 'compress' and 'content-encoding'"
        )
    body = await payload.as_bytes()
    if "content-length" not in request.headers:
        # A body of unknown length would go out in chunks, and content-length must be covered.
        request.headers.popall("transfer-encoding", None)
        request.chunked = None
        await request.update_body(as_payload(body))
    return body
