"""The one retry loop: every call goes through `Sender.send`, and every attempt is seen there."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from datetime import UTC, datetime
from typing import Final, NoReturn

import aiohttp
import attrs

from upvest_rebalancing.authentication import TokenSource
from upvest_rebalancing.errors import (
    Attempt,
    AttemptOutcome,
    RequestError,
    TokenError,
)
from upvest_rebalancing.events import AttemptFinished, AttemptHook, AttemptStarted
from upvest_rebalancing.failures import complete, unanswered
from upvest_rebalancing.protocol.codec import decode_error, retry_after
from upvest_rebalancing.protocol.messages import Request, Response
from upvest_rebalancing.protocol.redaction import shown_headers
from upvest_rebalancing.protocol.retries import (
    GiveUp,
    Jitter,
    RetryBudget,
    RetryPolicy,
    Wait,
    decide,
)
from upvest_rebalancing.protocol.tokens import Token
from upvest_rebalancing.throttle import Throttle
from upvest_rebalancing.transport import Transport, TransportError

logger = logging.getLogger("upvest_rebalancing")

_UNAUTHORIZED: Final = 401
_SLOW_DOWN: Final = frozenset({429, 503})


@attrs.frozen(kw_only=True)
class Statistics:
    """What a client has done since it was opened.

    Attributes:
        calls: Calls that were begun, token requests included.
        requests: Attempts that were made.
        retries: Attempts beyond the first of their call.
        tokens: Access tokens that were obtained.
        answers: Answers by HTTP status.
    """

    calls: int = 0
    requests: int = 0
    retries: int = 0
    tokens: int = 0
    answers: Mapping[int, int] = attrs.field(factory=dict)


@attrs.frozen(kw_only=True)
class Answer:
    """A success, and what it took.

    Attributes:
        response: The answer.
        attempts: What each attempt did, oldest first.
        sent_at: When the last attempt began, in seconds on the sender's clock.
    """

    response: Response
    attempts: tuple[Attempt, ...]
    sent_at: float


@attrs.define
class _Call:
    """One logical call in progress."""

    request: Request
    started: float
    attempts: list[Attempt] = attrs.field(factory=list)
    renewed: bool = False


@attrs.frozen(kw_only=True)
class _Result:
    """What one attempt brought: an answer, or what went wrong."""

    began: float
    outcome: AttemptOutcome
    response: Response | None = None
    token: Token | None = None
    error: Exception | None = None
    words: str | None = None
    is_passing: bool = True


@attrs.define(eq=False, kw_only=True)
class Sender:
    """Send requests until they are answered, or until there is a reason to give up.

    Attributes:
        transport: Makes single attempts.
        throttle: Admits them.
        policy: How often and how long to try.
        budget: Keeps retries in proportion; shared by all calls of a client.
        attempt_timeout: Seconds for one attempt.
        clock: Gives seconds that never go back.
        now: Gives the time of day, aware.
        sleep: Sleeps for seconds.
        jitter: Picks a pause between 0 and the longest.
        hook: Told of every attempt; None for nobody.
    """

    transport: Transport
    throttle: Throttle
    policy: RetryPolicy
    budget: RetryBudget
    attempt_timeout: float
    clock: Callable[[], float]
    sleep: Callable[[float], Awaitable[None]]
    jitter: Jitter
    hook: AttemptHook | None = None
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    _counts: Counter[str] = attrs.field(factory=Counter, init=False)
    _answers: Counter[int] = attrs.field(factory=Counter, init=False)

    @property
    def statistics(self) -> Statistics:
        """What was done so far."""
        return Statistics(**self._counts, answers=dict(self._answers))

    def count_token(self) -> None:
        """Count an access token that was obtained."""
        self._counts["tokens"] += 1

    async def send(
        self,
        request: Request,
        *,
        middlewares: Sequence[aiohttp.ClientMiddlewareType],
        tokens: TokenSource | None = None,
    ) -> Answer:
        """Send a request, with retries.

        Args:
            request: What to send; every attempt sends the same bytes and idempotency key.
            middlewares: Bearer and signing.
            tokens: Where the bearer takes its tokens from; None for the token request itself,
                which takes no place in the throttle: those who hold one wait for the token.

        Returns:
            The answer, with a status of success.

        Raises:
            RequestError: The call failed for good.
        """
        call = _Call(request, started=self.clock())
        self._counts["calls"] += 1
        while True:
            result = await self._attempt(call, middlewares, tokens)
            if result.response is not None and result.response.is_success:
                if not result.response.too_large:
                    self._finish(call, result, None, None)
                    self.budget.succeed()
                    return Answer(
                        response=result.response,
                        attempts=tuple(call.attempts),
                        sent_at=result.began,
                    )
            elif self._renews_token(call, result, tokens):
                self._finish(call, result, None, 0.0)
                continue
            seconds, reason = self._decide(call, result)
            if seconds is None:
                self._fail(call, result, reason)
            await self.sleep(seconds)

    async def _attempt(
        self,
        call: _Call,
        middlewares: Sequence[aiohttp.ClientMiddlewareType],
        tokens: TokenSource | None,
    ) -> _Result:
        request, began = call.request, self.clock()
        number = len(call.attempts) + 1
        if self.hook is not None:
            self.hook(
                AttemptStarted(
                    operation=request.operation,
                    method=request.method,
                    target=request.target,
                    idempotency_key=request.idempotency_key,
                    number=number,
                )
            )
        self._counts["requests"] += 1
        self._counts["retries"] += number > 1
        left = max(0.0, self.policy.deadline - (began - call.started))
        admitted = False
        token: Token | None = None
        place: AbstractAsyncContextManager[None] = nullcontext()
        try:
            async with asyncio.timeout(left) as deadline:
                if tokens is None:
                    await self.throttle.pace()
                else:
                    # Fetched before a place is taken, so that its own retries block nobody.
                    token = await tokens.get()
                    place = self.throttle.admit()
                async with place:
                    admitted = True
                    # The transport has its own, finer reckoning of what was sent.
                    deadline.reschedule(None)
                    began = self.clock()
                    timeout = min(
                        self.attempt_timeout,
                        max(0.001, self.policy.deadline - (began - call.started)),
                    )
                    response = await self.transport.send(
                        request, middlewares=middlewares, timeout=timeout
                    )
        except TransportError as error:
            return _Result(
                began=began,
                outcome=error.outcome,
                token=token,
                error=error,
                words=error.message,
                is_passing=error.is_passing,
            )
        except TokenError as error:
            return _Result(
                began=began,
                outcome=AttemptOutcome.NOT_SENT,
                error=error,
                words=error.message,
                is_passing=False,
            )
        except TimeoutError:
            return _Result(
                began=began,
                outcome=AttemptOutcome.NOT_SENT,
                words="the deadline passed while waiting to send",
                is_passing=False,
            )
        except asyncio.CancelledError:
            outcome = AttemptOutcome.UNKNOWN if admitted else AttemptOutcome.NOT_SENT
            self._finish(call, _Result(began=began, outcome=outcome, words="cancelled"), None, None)
            raise
        return _Result(began=began, outcome=AttemptOutcome.ANSWERED, response=response, token=token)

    def _renews_token(self, call: _Call, result: _Result, tokens: TokenSource | None) -> bool:
        if result.response is None or result.response.status != _UNAUTHORIZED:
            return False
        if tokens is None or result.token is None or call.renewed:
            return False
        tokens.reject(result.token)
        call.renewed = True
        return True

    def _decide(self, call: _Call, result: _Result) -> tuple[float | None, str]:
        """Give the seconds to wait before the next attempt, or None and the reason to give up."""
        response = result.response
        asked = None if response is None else retry_after(response, self.now())
        status = None if response is None else response.status
        decision: Wait | GiveUp
        if not result.is_passing or (response is not None and response.too_large):
            decision = GiveUp("this failure is not one that passes")
        else:
            decision = decide(
                self.policy,
                attempt=len(call.attempts) + 1,
                outcome=result.outcome,
                status=status,
                retry_after=asked,
                elapsed=self.clock() - call.started,
                jitter=self.jitter,
            )
        if isinstance(decision, Wait) and not self.budget.spend():
            decision = GiveUp("the client's retry budget is used up: too many calls fail")
        if isinstance(decision, GiveUp):
            self._finish(call, result, asked, None)
            return None, decision.reason
        if status in _SLOW_DOWN:
            self.throttle.pause(decision.seconds)
        self._finish(call, result, asked, decision.seconds)
        return decision.seconds, ""

    def _finish(
        self, call: _Call, result: _Result, asked: float | None, wait: float | None
    ) -> None:
        request, response = call.request, result.response
        status = None if response is None else response.status
        words = result.words
        if response is not None and not response.is_success:
            words = f"HTTP {status}"
        attempt = Attempt(
            number=len(call.attempts) + 1,
            started=result.began - call.started,
            duration=self.clock() - result.began,
            outcome=result.outcome,
            status=status,
            request_id=None if response is None else response.request_id,
            error=words,
            retry_after=asked,
            wait=wait,
        )
        call.attempts.append(attempt)
        if status is not None:
            self._answers[status] += 1
        if logger.isEnabledFor(logging.DEBUG):
            logger.debug(
                "%s %s attempt %d: %s, %.0f ms, request %s, answer %s",
                request.method,
                request.target,
                attempt.number,
                words or f"HTTP {status}",
                attempt.duration * 1000,
                shown_headers(request.headers),
                None if response is None else shown_headers(response.headers),
            )
        if self.hook is None:
            return
        event = AttemptFinished(
            operation=request.operation,
            method=request.method,
            target=request.target,
            idempotency_key=request.idempotency_key,
            attempt=attempt,
        )
        try:
            self.hook(event)
        except Exception:
            # The answer of a trigger must not be lost to a metric that could not be counted.
            logger.exception("the hook failed on a finished attempt")

    def _fail(self, call: _Call, result: _Result, reason: str) -> NoReturn:
        error: RequestError
        if result.response is not None:
            error = decode_error(result.response, self.now())
        else:
            error = unanswered(call.request, call.attempts, result.error)
        raise complete(error, call.request, call.attempts, reason) from result.error
