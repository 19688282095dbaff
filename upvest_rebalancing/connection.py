"""Put transport, throttle, tokens and signing together into one thing that makes calls."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import TypeAlias, TypeVar, Unpack

from upvest_rebalancing.attempts import Answer
from upvest_rebalancing.authentication import BearerMiddleware, SigningMiddleware, TokenSource
from upvest_rebalancing.errors import (
    APIError,
    Attempt,
    ClientClosedError,
    InvalidAnswerError,
    InvalidRequestError,
    RequestError,
    TokenError,
)
from upvest_rebalancing.failures import complete
from upvest_rebalancing.models import Authentication, Execution, Page, TriggeredExecution
from upvest_rebalancing.options import ClientOptions, Options
from upvest_rebalancing.protocol import codec, tokens
from upvest_rebalancing.protocol.clock import ServerClock
from upvest_rebalancing.protocol.codec import Attempts
from upvest_rebalancing.protocol.messages import Request, Response
from upvest_rebalancing.protocol.pacing import Pacing, PacingPolicy
from upvest_rebalancing.protocol.signatures import Signer
from upvest_rebalancing.sender import Sender
from upvest_rebalancing.settings import Settings
from upvest_rebalancing.signing import KeyWorker, threads_for
from upvest_rebalancing.throttle import Throttle
from upvest_rebalancing.transport import Transport

_Model = TypeVar("_Model", TriggeredExecution, Execution, Page)
Decode: TypeAlias = Callable[[Response, Attempts], _Model]


class Connection:
    """One client's way to the API: one pool, one token, one throttle, one retry budget.

    Args:
        settings: Whom it is and whom it talks to.
        options: See `ClientOptions`.

    Raises:
        InvalidRequestError: An option is out of its range.
    """

    def __init__(self, settings: Settings, **options: Unpack[ClientOptions]) -> None:
        checked = Options.of(options)
        codec.prepare()
        tokens.prepare()
        self.settings = settings
        self.clock, self.now, self.jitter = checked.clock, checked.now, checked.jitter
        self._is_open = False
        self._server_clock = ServerClock()
        key = settings.private_key
        self._worker = KeyWorker(key, threads_for(key, checked.signing_threads))
        self._signing = SigningMiddleware(
            worker=self._worker,
            signer=Signer(
                key=key,
                keyid=settings.key_id,
                lifetime=checked.signature_lifetime,
            ),
            client_id=settings.client_id,
            origin=settings.base_url,
            now=lambda: self.now() + self._server_clock.correction,
        )
        self._transport = Transport(
            base_url=settings.base_url,
            connections=checked.places,
            session=checked.session,
            ssl=checked.ssl,
            proxy=checked.proxy,
            trust_env=checked.trust_env,
            max_body=checked.max_answer_bytes,
            secrets=(settings.client_secret,),
        )
        policy = checked.retry
        self.sender = Sender(
            transport=self._transport,
            throttle=Throttle(
                concurrency=checked.places,
                pacing=Pacing(
                    limit=checked.rate(settings.base_url),
                    policy=PacingPolicy(
                        longest_hold=policy.cap, longest_pause=policy.retry_after_limit
                    ),
                ),
                clock=self.clock,
                obeys_policies=checked.requests_per_second == "auto",
            ),
            signing=self._signing,
            policy=policy,
            budget=checked.retry_budget,
            attempt_timeout=checked.attempt_timeout,
            clock=self.clock,
            sleep=asyncio.sleep,
            jitter=self.jitter,
            hook=checked.on_attempt,
            now=self.now,
            server_clock=self._server_clock,
        )
        self._tokens = TokenSource(fetch=self._fetch_token, clock=self.clock)

    @property
    def middlewares(self) -> tuple[BearerMiddleware, SigningMiddleware]:
        """Bearer and signing for a session of the user's; they share this connection's token."""
        bearer = BearerMiddleware(tokens=self._tokens, origin=self.settings.base_url)
        return bearer, self._signing

    @property
    def clock_skew(self) -> float | None:
        """Seconds that the server's clock is ahead of this machine's; None while unknown."""
        return self._server_clock.skew

    async def open(self) -> None:
        """Make the session, where the caller brought none.

        Raises:
            InvalidRequestError: The connection is open already.
        """
        if self._is_open:
            raise InvalidRequestError("the client is open already; enter 'async with' once")
        await self._transport.open()
        self.sender.throttle.open()
        self._worker.open()
        self._is_open = True

    async def close(self) -> None:
        """End a token fetch that is under way; close the session, unless it is the caller's."""
        self._is_open = False
        self.sender.throttle.close()
        try:
            await self._tokens.close()
        finally:
            self._worker.close()
            await self._transport.close()

    async def call(self, request: Request, decode: Decode[_Model]) -> _Model:
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
        return self.read(await self.fetch(request), decode)

    async def fetch(self, request: Request) -> Answer:
        """Make one logical call, and leave its answer unread for `read`.

        Raises:
            RequestError: The call failed for good.
            ClientClosedError: The connection is not open.
        """
        if not self._is_open:
            raise complete(ClientClosedError(_CLOSED), request, ())
        return await self.sender.send(request, self._tokens)

    def read(self, answer: Answer, decode: Decode[_Model]) -> _Model:
        """Read an answer.

        Raises:
            InvalidAnswerError: It is not as the specification has it.
        """
        try:
            return decode(answer.response, answer.attempts)
        except InvalidAnswerError as error:
            reason = "the answer is of no use"
            raise complete(error, answer.request, answer.attempts, reason) from None

    async def authenticate(self) -> Authentication:
        """Fetch a fresh token, and say what it grants and how far the clocks are apart.

        Raises:
            TokenError: None could be had.
            ClientClosedError: The connection is not open.
        """
        if not self._is_open:
            raise ClientClosedError(_CLOSED)
        token = await self._tokens.renew()
        return Authentication(
            scopes=token.scopes, lifetime=token.lifetime, clock_skew=self.clock_skew
        )

    async def _fetch_token(self) -> tokens.Token:
        settings = self.settings
        request = tokens.token_request(
            client_id=settings.client_id,
            client_secret=settings.client_secret,
            scopes=settings.scopes,
        )
        try:
            answer = await self.sender.send(request)
        except ClientClosedError:
            raise
        except RequestError as error:
            attempts, reason = error.attempts, error.reason
            raise _with_history(_token_error(error), request, attempts, reason) from error
        try:
            token = tokens.parse_token(answer.response, scopes=settings.scopes, now=answer.sent_at)
        except TokenError as error:
            raise _with_history(error, request, answer.attempts, None) from None
        self.sender.counts.tokens += 1
        return token


_CLOSED = "the client is not open; use it inside 'async with'"


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
        retry_after=None if known is None else known.retry_after,
        request_id=error.request_id,
    )


def _with_history(
    error: TokenError, request: Request, attempts: Sequence[Attempt], reason: str | None
) -> TokenError:
    # The call that waits for the token puts its own attempts in place of these.
    error.token_attempts = tuple(attempts)
    return complete(error, request, attempts, reason)
