"""Access tokens and signatures as aiohttp client middlewares.

Put ``(bearer, signing)`` on any ``ClientSession``, in this order, and it can call every endpoint of
the Upvest API. Both touch only requests to the API's own origin: credentials go nowhere else, not
after a redirect either.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from typing import Final

import aiohttp
import attrs
from aiohttp.payload import Payload
from yarl import URL

from upvest_rebalancing.errors import ClientClosedError, InvalidRequestError
from upvest_rebalancing.protocol.endpoints import API_VERSION, TOKEN_PATH
from upvest_rebalancing.protocol.signatures import Signer, content_digest
from upvest_rebalancing.protocol.tokens import Token, needs_refresh
from upvest_rebalancing.transport import payload as as_payload

_UNAUTHORIZED: Final = 401


def new_nonce() -> str:
    """Make a nonce: a random UUID, as Upvest's own clients do."""
    return str(uuid.uuid4())


@attrs.define(eq=False, kw_only=True)
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

    async def get(self) -> Token:
        """Give a token that has some life left, fetched now if need be.

        Raises:
            TokenError: None could be had.
            ClientClosedError: The source was closed meanwhile.
        """
        if self._token is not None and not needs_refresh(self._token, self.clock()):
            return self._token
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


@attrs.frozen(eq=False, kw_only=True)
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


@attrs.frozen(eq=False)
class OneToken:
    """Add one token to one attempt: whoever sent it knows which token was refused.

    Attributes:
        token: The token.
    """

    token: Token

    async def __call__(
        self, request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        """Take part in aiohttp's chain of middlewares."""
        request.headers["authorization"] = f"Bearer {self.token.access_token}"
        return await handler(request)


@attrs.frozen(eq=False, kw_only=True)
class SigningMiddleware:
    """Sign every request afresh, from the bytes that go out; it must be the innermost one.

    It adds the headers that Upvest asks for where they are missing, among them
    ``upvest-client-id`` and, with a body, ``content-digest``.

    Attributes:
        signer: The key, its id and the signatures' lifetime.
        client_id: The tenant's client id.
        origin: The API's scheme, host and port; requests elsewhere pass untouched.
        now: Gives the time in seconds since 1970.
        nonce: Makes a string that is used once.
    """

    signer: Signer
    client_id: str
    origin: str
    now: Callable[[], float]
    nonce: Callable[[], str] = new_nonce

    async def __call__(
        self, request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        """Take part in aiohttp's chain of middlewares.

        Raises:
            InvalidRequestError: The body is compressed on the way out, which can't be signed.
        """
        if not _is_at(request.url, self.origin):
            return await handler(request)
        headers = request.headers
        if request.url.raw_path == TOKEN_PATH:
            # A session or a .netrc may have added credentials that are none of this endpoint's.
            headers.popall("authorization", None)
        # aiohttp sends */* unless told otherwise, and Upvest answers 406 to that.
        if headers.get("accept", "*/*") == "*/*":
            headers["accept"] = "application/json"
        headers.setdefault("upvest-api-version", API_VERSION)
        headers["upvest-client-id"] = self.client_id
        body = await _body(request)
        headers.popall("content-digest", None)
        if body:
            headers["content-digest"] = content_digest(body)
        signed = self.signer.sign(
            method=request.method,
            target=request.url.raw_path_qs,
            headers={name.lower(): ", ".join(headers.getall(name)) for name in headers},
            nonce=self.nonce(),
            created=int(self.now()),
        )
        headers.update(signed)
        return await handler(request)


def _is_being_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _is_at(url: URL, origin: str) -> bool:
    return url.origin() == URL(origin).origin()


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
