"""Send a `Request` over aiohttp and read the answer to its end; nothing of aiohttp's leaks out.

What can go wrong on the way is mapped by one table to one of two outcomes: never sent, or unknown.
"""

from __future__ import annotations

import io
import ssl as ssl_module
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

import aiohttp
import attrs
from aiohttp.http_exceptions import HttpProcessingError
from yarl import URL

from upvest_rebalancing.deadlines import Deadlines
from upvest_rebalancing.errors import AttemptOutcome, ClientClosedError
from upvest_rebalancing.last_step import LastStep, RequestSigner, SessionClosedError
from upvest_rebalancing.protocol.messages import Request, Response

CONNECT_TIMEOUT: Final = 10.0
"""Seconds for a connection to come about, the wait for a free one included."""

MAX_BODY: Final = 32 * 1024 * 1024
"""Bytes of an answer at the most, after decompression."""

LARGE_BODY: Final = 2**20
"""Bytes above which aiohttp warns of a body that is handed to it in one piece."""


class TransportError(Exception):
    """An attempt brought no answer; internal, the sender turns it into the error that is raised."""

    def __init__(self, message: str, outcome: AttemptOutcome, *, is_passing: bool) -> None:
        super().__init__(message)
        self.message = message
        self.outcome = outcome
        self.is_passing = is_passing


@attrs.frozen(eq=False, repr=False)
class Failure:
    """What an exception of aiohttp's means.

    Attributes:
        outcome: Whether anything can have reached the server.
        words: What went wrong, for a reader.
        is_passing: False where trying again can't help.
    """

    outcome: AttemptOutcome
    words: str
    is_passing: bool = True


_NOT_SENT, _UNKNOWN = AttemptOutcome.NOT_SENT, AttemptOutcome.UNKNOWN

FAILURES: Mapping[type[BaseException], Failure] = MappingProxyType(
    {
        # Before the request: no connection came about.
        aiohttp.ClientConnectorCertificateError: Failure(
            _NOT_SENT, "the server's certificate is not trusted", is_passing=False
        ),
        aiohttp.ServerFingerprintMismatch: Failure(
            _NOT_SENT, "the server's certificate has another fingerprint", is_passing=False
        ),
        aiohttp.InvalidURL: Failure(_NOT_SENT, "the URL is not valid", is_passing=False),
        aiohttp.ClientHttpProxyError: Failure(_NOT_SENT, "the proxy refused"),
        aiohttp.ClientProxyConnectionError: Failure(_NOT_SENT, "no connection to the proxy"),
        aiohttp.ClientConnectorDNSError: Failure(_NOT_SENT, "the host name can't be resolved"),
        aiohttp.ClientConnectorSSLError: Failure(_NOT_SENT, "no TLS connection"),
        aiohttp.ClientConnectorError: Failure(_NOT_SENT, "no connection"),
        aiohttp.ConnectionTimeoutError: Failure(_NOT_SENT, "no connection in time"),
        SessionClosedError: Failure(_NOT_SENT, "the session was closed before it was sent"),
        # After that, anything may have happened.
        aiohttp.SocketTimeoutError: Failure(_UNKNOWN, "the server went silent"),
        aiohttp.ServerTimeoutError: Failure(_UNKNOWN, "the server did not answer in time"),
        aiohttp.ServerDisconnectedError: Failure(_UNKNOWN, "the server closed the connection"),
        aiohttp.ClientPayloadError: Failure(_UNKNOWN, "the answer ended early or is damaged"),
        aiohttp.ClientResponseError: Failure(_UNKNOWN, "the answer is no HTTP"),
        HttpProcessingError: Failure(_UNKNOWN, "the answer is no HTTP"),
        aiohttp.ClientOSError: Failure(_UNKNOWN, "the connection broke"),
        aiohttp.ClientError: Failure(_UNKNOWN, "the exchange failed"),
        TimeoutError: Failure(_UNKNOWN, "the server did not answer in time"),
        OSError: Failure(_UNKNOWN, "the connection broke"),
    }
)


def failure_of(error: BaseException) -> Failure:
    """Find what an exception means: the entry of its nearest class in the table."""
    for cls in type(error).__mro__:
        if cls in FAILURES:
            return FAILURES[cls]
    raise error


def payload(body: bytes) -> bytes | io.BytesIO:
    """Give a body as aiohttp likes it: large ones as a file, which it writes in pieces."""
    return io.BytesIO(body) if len(body) > LARGE_BODY else body


@attrs.define(eq=False, repr=False, kw_only=True)
class Transport:
    """Carry requests to one API over an aiohttp session.

    Attributes:
        base_url: Scheme, host and port.
        connections: Connections at the most, in a session of our own.
        session: The caller's session, which is never closed here; None makes one.
        ssl: A TLS context, or True for the default one.
        proxy: The proxy's URL.
        trust_env: Whether to take proxies from the environment, in a session of our own.
        max_body: Bytes of an answer at the most, after decompression.
        secrets: What no answer may show beyond what the request's headers carry.
    """

    base_url: str
    connections: int
    session: aiohttp.ClientSession | None = None
    ssl: ssl_module.SSLContext | bool = True
    proxy: str | None = attrs.field(default=None, repr=False)
    trust_env: bool = False
    max_body: int = MAX_BODY
    secrets: tuple[str, ...] = attrs.field(default=(), repr=False)
    _own: aiohttp.ClientSession | None = attrs.field(default=None, init=False)
    _deadlines: Deadlines = attrs.field(factory=Deadlines, init=False)

    async def open(self) -> None:
        """Make the session, where the caller brought none."""
        self._deadlines.open()
        if self.session is None:
            self._own = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=self.connections, limit_per_host=0),
                cookie_jar=aiohttp.DummyCookieJar(),
                trust_env=self.trust_env,
            )

    async def close(self) -> None:
        """Close the session, where it is our own."""
        self._deadlines.close()
        if self._own is not None:
            await self._own.close()
            self._own = None

    async def send(
        self, request: Request, *, signer: RequestSigner, bearer: str | None, timeout: float
    ) -> Response:
        """Make one attempt.

        Args:
            request: What to send.
            signer: Signs it, as the last thing before it is written.
            bearer: The access token; None sends none.
            timeout: Seconds for all of it, the signature and the answer's body included.

        Returns:
            The answer, whatever its status.

        Raises:
            TransportError: No complete answer came.
            ClientClosedError: There is no session.
        """
        session = self.session or self._own
        if session is None or session.closed:
            raise ClientClosedError("the session is closed; use the client inside 'async with'")
        is_foreign = self.session is not None
        last_step = LastStep(request, signer, bearer, session, is_foreign=is_foreign)
        try:
            with self._deadlines.within(timeout):
                answer = await self._exchange(session, request, last_step, timeout)
        except (aiohttp.ClientError, HttpProcessingError, OSError) as error:
            failure = failure_of(error)
            outcome, words = failure.outcome, failure.words
            if not last_step.is_done:
                outcome = _NOT_SENT
                words = "the time was up before it was sent" if _is_late(error) else words
            elif last_step.was_done:
                # The first time may have got there, whatever became of the second.
                outcome = _UNKNOWN
            text = f"{words} ({type(error).__name__})"
        except Exception as error:
            if not last_step.is_done:
                raise
            # A hook of the user's session, say: it must not hide that the request was sent.
            text = f"it failed after it was sent ({type(error).__name__})"
            raise TransportError(text, _UNKNOWN, is_passing=False) from error
        else:
            return answer
        # Outside the handler: aiohttp's exceptions carry the request with its credentials, and
        # must not hang on ours, not even as context.
        raise TransportError(text, outcome, is_passing=failure.is_passing)

    async def _exchange(
        self,
        session: aiohttp.ClientSession,
        request: Request,
        last_step: LastStep,
        timeout: float,
    ) -> Response:
        answer = await session.request(
            request.method,
            # Already encoded: what was built is what is signed and sent.
            URL(self.base_url + request.target, encoded=True),
            data=payload(request.body) if request.body else None,
            allow_redirects=False,
            raise_for_status=False,
            proxy=self.proxy,
            ssl=self.ssl,
            timeout=_connect_within(timeout),
            auto_decompress=True,
            middlewares=(last_step,),
        )
        async with answer:
            body, too_large = await self._read(answer)
            return Response(
                status=answer.status,
                headers=answer.headers,
                body=body,
                too_large=too_large,
                secrets=(*self.secrets, *last_step.secrets),
            )

    async def _read(self, answer: aiohttp.ClientResponse) -> tuple[bytes, bool]:
        content = answer.content
        body = await content.readany()
        if content.at_eof() and len(body) <= self.max_body:
            return body, False
        chunks, size = [body], len(body)
        while size <= self.max_body:
            if content.at_eof():
                return b"".join(chunks), False
            chunks.append(await content.readany())
            size += len(chunks[-1])
        answer.close()  # The rest is not read, so the connection can't be used again.
        return b"".join(chunks)[: self.max_body], True


def _is_late(error: Exception) -> bool:
    return isinstance(error, TimeoutError) and not isinstance(error, aiohttp.ClientError)


def _connect_within(timeout: float) -> aiohttp.ClientTimeout:
    # Before the attempt's own end, so that a connection that never came about is known as such.
    if timeout * _CONNECT_SHARE >= CONNECT_TIMEOUT:
        return _CONNECT
    return aiohttp.ClientTimeout(total=None, connect=timeout * _CONNECT_SHARE)


_CONNECT_SHARE: Final = 0.9
_CONNECT: Final = aiohttp.ClientTimeout(total=None, connect=CONNECT_TIMEOUT)
