"""Put transport, throttle, tokens and signing together into one thing that makes calls."""

from __future__ import annotations

import asyncio
import random
import ssl as ssl_module
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final, Literal, TypedDict, TypeVar, Unpack
from urllib.parse import urlsplit

import aiohttp
import attrs

from upvest_rebalancing.authentication import BearerMiddleware, SigningMiddleware, TokenSource
from upvest_rebalancing.errors import (
    APIError,
    ClientClosedError,
    InvalidAnswerError,
    InvalidRequestError,
    RequestError,
    TokenError,
)
from upvest_rebalancing.events import AttemptHook
from upvest_rebalancing.failures import complete
from upvest_rebalancing.models import Authentication, Execution, Page, TriggeredExecution
from upvest_rebalancing.protocol import tokens
from upvest_rebalancing.protocol.messages import Request, Response
from upvest_rebalancing.protocol.retries import RetryBudget, RetryPolicy, parse_http_date
from upvest_rebalancing.protocol.signatures import DEFAULT_LIFETIME, Signer
from upvest_rebalancing.sender import Answer, Sender
from upvest_rebalancing.settings import SANDBOX_URL, Settings
from upvest_rebalancing.throttle import Throttle
from upvest_rebalancing.transport import MAX_BODY, Transport

DEFAULT_CONCURRENCY: Final = 100
"""Requests under way at once, and connections; aiohttp's own default."""

DEFAULT_ATTEMPT_TIMEOUT: Final = 30.0
"""Seconds for one attempt."""

SANDBOX_REQUESTS_PER_SECOND: Final = 295.0
"""Upvest's sandbox takes 300 (docs); a little less, because its seconds are not ours."""

_Model = TypeVar("_Model", TriggeredExecution, Execution, Page)


class ClientOptions(TypedDict, total=False):
    """The options of a client, all of them keyword arguments.

    Attributes:
        session: An aiohttp session of the caller's, which is never closed here; its connections
            and cookies are used, its middlewares are not. None makes one.
        retry: How often and how long a call is tried.
        retry_budget: Keeps retries in proportion to successes; a fresh one where None.
        attempt_timeout: Seconds for one attempt, the answer's body included.
        concurrency: Requests under way at once, never more than there are connections.
        requests_per_second: Requests per second; None for no limit; "auto" stays under the limit
            of Upvest's sandbox there, and sets none elsewhere.
        signature_lifetime: Seconds that a signature is valid.
        on_attempt: Told of every attempt, before it and after it; see `upvest_rebalancing.events`.
        ssl: A TLS context, or True for aiohttp's default.
        proxy: The URL of a proxy.
        trust_env: Whether to take proxies from the environment (``HTTPS_PROXY``), in a session of
            our own.
        max_answer_bytes: Bytes of an answer at the most, after decompression.
        clock: Gives seconds that never go back; for tests.
        now: Gives the time in seconds since 1970; for tests.
        jitter: Picks a pause, in seconds, between 0 and the longest; for tests.
    """

    session: aiohttp.ClientSession | None
    retry: RetryPolicy | None
    retry_budget: RetryBudget | None
    attempt_timeout: float
    concurrency: int
    requests_per_second: float | Literal["auto"] | None
    signature_lifetime: int
    on_attempt: AttemptHook | None
    ssl: ssl_module.SSLContext | bool
    proxy: str | None
    trust_env: bool
    max_answer_bytes: int
    clock: Callable[[], float]
    now: Callable[[], float]
    jitter: Callable[[float], float]


def full_jitter(longest: float) -> float:
    """Pick a pause anywhere between 0 and the longest, in seconds."""
    return random.uniform(0, longest)  # noqa: S311 - spreads load, guards nothing


class Connection:
    """One client's way to the API: one pool, one token, one throttle, one retry budget.

    Args:
        settings: Whom it is and whom it talks to.
        options: See `ClientOptions`.

    Raises:
        InvalidRequestError: An option is out of its range.
    """

    def __init__(self, settings: Settings, **options: Unpack[ClientOptions]) -> None:
        self.settings = settings
        self.clock = options.get("clock", time.monotonic)
        self.now = options.get("now", time.time)
        self.jitter = options.get("jitter", full_jitter)
        self._is_open = False
        self._clock_skew: float | None = None
        session = options.get("session")
        places = _places(options.get("concurrency", DEFAULT_CONCURRENCY), session)
        self._transport = Transport(
            base_url=settings.base_url,
            connections=places,
            session=session,
            ssl=options.get("ssl", True),
            proxy=options.get("proxy"),
            trust_env=options.get("trust_env", False),
            max_body=_positive("max_answer_bytes", options.get("max_answer_bytes", MAX_BODY)),
        )
        self.sender = Sender(
            transport=self._transport,
            throttle=Throttle(
                concurrency=places,
                rate=_rate(options.get("requests_per_second", "auto"), settings.base_url),
                clock=self.clock,
                sleep=asyncio.sleep,
            ),
            policy=options.get("retry") or RetryPolicy(),
            budget=options.get("retry_budget") or RetryBudget(),
            attempt_timeout=_positive(
                "attempt_timeout", options.get("attempt_timeout", DEFAULT_ATTEMPT_TIMEOUT)
            ),
            clock=self.clock,
            sleep=asyncio.sleep,
            jitter=self.jitter,
            hook=options.get("on_attempt"),
            now=lambda: datetime.fromtimestamp(self.now(), UTC),
        )
        lifetime = options.get("signature_lifetime", DEFAULT_LIFETIME)
        self._tokens = TokenSource(fetch=self._fetch_token, clock=self.clock)
        self._signing = SigningMiddleware(
            signer=Signer(
                key=settings.private_key,
                keyid=settings.key_id,
                lifetime=_positive("signature_lifetime", lifetime),
            ),
            client_id=settings.client_id,
            origin=settings.base_url,
            now=self.now,
        )
        self._bearer = BearerMiddleware(
            tokens=self._tokens, origin=settings.base_url, retry_unauthorized=False
        )

    @property
    def middlewares(self) -> tuple[BearerMiddleware, SigningMiddleware]:
        """Bearer and signing for a session of the user's; they share this connection's token."""
        bearer = BearerMiddleware(tokens=self._tokens, origin=self.settings.base_url)
        return bearer, self._signing

    async def open(self) -> None:
        """Make the session, where the caller brought none."""
        await self._transport.open()
        self._is_open = True

    async def close(self) -> None:
        """End a token fetch that is under way; close the session, unless it is the caller's."""
        self._is_open = False
        await self._tokens.close()
        await self._transport.close()

    async def call(self, request: Request, decode: Callable[[Response], _Model]) -> _Model:
        """Make one logical call.

        Args:
            request: What to send.
            decode: Reads the answer.

        Returns:
            What `decode` read, with the attempts that it took.

        Raises:
            RequestError: The call failed for good.
            ClientClosedError: The connection is not open.
        """
        self._check_open()
        answer = await self.sender.send(
            request, middlewares=(self._bearer, self._signing), tokens=self._tokens
        )
        try:
            model = decode(answer.response)
        except InvalidAnswerError as error:
            raise complete(error, request, answer.attempts, "the answer is of no use") from None
        return attrs.evolve(model, attempts=answer.attempts)

    async def authenticate(self) -> Authentication:
        """Fetch a fresh token, and say what it grants and how far the clocks are apart.

        Raises:
            TokenError: None could be had.
            ClientClosedError: The connection is not open.
        """
        self._check_open()
        token = await self._tokens.renew()
        return Authentication(
            scopes=token.scopes, lifetime=token.lifetime, clock_skew=self._clock_skew
        )

    async def _fetch_token(self) -> tokens.Token:
        settings = self.settings
        request = tokens.token_request(
            client_id=settings.client_id,
            client_secret=settings.client_secret,
            scopes=settings.scopes,
        )
        try:
            answer = await self.sender.send(request, middlewares=(self._signing,))
        except RequestError as error:
            raise _token_error(error) from error
        self._measure_clock(answer)
        try:
            token = tokens.parse_token(answer.response, scopes=settings.scopes, now=answer.sent_at)
        except TokenError as error:
            raise complete(error, request, answer.attempts) from None
        self.sender.count_token()
        return token

    def _measure_clock(self, answer: Answer) -> None:
        date = parse_http_date(answer.response.headers.get("date"))
        if date is not None:
            middle = self.now() - (self.clock() - answer.sent_at) / 2
            # The header names whole seconds, so that the true time is half a second later on
            # average.
            self._clock_skew = date.timestamp() + 0.5 - middle

    def _check_open(self) -> None:
        if not self._is_open:
            raise ClientClosedError("the client is not open; use it inside 'async with'")


def _token_error(error: RequestError) -> TokenError:
    known = error if isinstance(error, APIError) else None
    text = f"no access token: {error.message}"
    if known is not None and known.status in {400, 401}:
        text += (
            ". Check UPVEST_API_CLIENT_ID, UPVEST_API_CLIENT_SECRET, UPVEST_API_KEY_ID with its "
            "private key, and UPVEST_API_SCOPES"
        )
    return TokenError(
        text,
        status=getattr(error, "status", None),
        error=None if known is None else known.type,
        detail=None if known is None else known.detail,
        request_id=error.request_id,
    )


def _places(concurrency: int, session: aiohttp.ClientSession | None) -> int:
    _positive("concurrency", concurrency)
    connector = None if session is None else session.connector
    limits = [connector.limit, connector.limit_per_host] if connector is not None else []
    return min([concurrency, *(limit for limit in limits if limit > 0)])


def _rate(rate: float | Literal["auto"] | None, base_url: str) -> float | None:
    if rate == "auto":
        at_sandbox = urlsplit(base_url).hostname == urlsplit(SANDBOX_URL).hostname
        return SANDBOX_REQUESTS_PER_SECOND if at_sandbox else None
    return rate if rate is None else _positive("requests_per_second", rate)


_Number = TypeVar("_Number", int, float)


def _positive(name: str, value: _Number) -> _Number:
    if not 0 < value < float("inf"):
        raise InvalidRequestError(f"{name} is {value!r}; a positive number is right")
    return value
