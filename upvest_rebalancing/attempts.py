"""Make one attempt: token, place, deadline, transport; and what it brought, as a value."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Self

import attrs

from upvest_rebalancing.authentication import TokenSource
from upvest_rebalancing.errors import Attempt, AttemptOutcome, ClientClosedError, TokenError
from upvest_rebalancing.last_step import RequestSigner
from upvest_rebalancing.protocol.clock import ServerClock
from upvest_rebalancing.protocol.messages import Request, Response
from upvest_rebalancing.protocol.retries import RetryPolicy
from upvest_rebalancing.protocol.tokens import Token
from upvest_rebalancing.throttle import Throttle
from upvest_rebalancing.transport import Transport, TransportError


@attrs.define(eq=False, repr=False)
class Call:
    """One logical call in progress.

    Attributes:
        request: What every attempt of it sends.
        started: When it began, in seconds on the sender's clock.
        attempts: What was done so far.
        last_answer: The last answer that was no success.
        repairs: Attempts that were made again at once, after a token or a clock was put right.
        is_renewed: True once the token was renewed for it.
        is_corrected: True once the clock was corrected for it.
    """

    request: Request
    started: float
    attempts: list[Attempt] = attrs.field(factory=list)
    last_answer: Response | None = None
    repairs: int = 0
    is_renewed: bool = False
    is_corrected: bool = False


@attrs.define(eq=False, repr=False, kw_only=True)
class Result:
    """What one attempt brought: an answer, or what went wrong.

    It is filled in on the way, so that a cancellation finds in it how far the attempt had come.

    Attributes:
        began: When it began, in seconds on the sender's clock.
        outcome: How it ended, seen from the network; how it would end now, until it has.
        response: The answer, where one came.
        token: The token that it carried.
        correction: Seconds by which the clock was corrected for its signature.
        error: What went wrong.
        words: The same for a reader.
        is_passing: False where trying again can't help.
    """

    began: float
    outcome: AttemptOutcome = AttemptOutcome.NOT_SENT
    response: Response | None = None
    token: Token | None = None
    correction: float = 0.0
    error: Exception | None = None
    words: str | None = None
    is_passing: bool = True

    def failed(
        self,
        error: Exception | None,
        words: str,
        outcome: AttemptOutcome,
        *,
        is_passing: bool = False,
    ) -> Self:
        """Say that it failed, and how."""
        self.error, self.words, self.outcome, self.is_passing = error, words, outcome, is_passing
        return self


@attrs.define(eq=False, repr=False, kw_only=True)
class Answer:
    """A success, and what it took.

    Attributes:
        request: What was sent.
        response: The answer.
        attempts: What each attempt did, oldest first.
        sent_at: When the last attempt began, in seconds on the sender's clock.
    """

    request: Request
    response: Response
    attempts: tuple[Attempt, ...]
    sent_at: float


@attrs.define(eq=False, repr=False, kw_only=True)
class Attempter:
    """Make attempts, one at a time.

    Attributes:
        transport: Sends.
        throttle: Admits.
        policy: Has the deadline.
        attempt_timeout: Seconds for one attempt.
        clock: Gives seconds that never go back.
        server_clock: Knows how far this machine's clock is from the server's.
        signing: Signs.
        now: Gives the time in seconds since 1970.
        on_answer: Called with each answer and when its attempt began by `clock` and by `now`,
            before the place is given back: what it teaches must hold for the next one.
        on_cancelled: Called with the result where the attempt is cancelled.
    """

    transport: Transport
    throttle: Throttle
    policy: RetryPolicy
    attempt_timeout: float
    clock: Callable[[], float]
    now: Callable[[], float]
    server_clock: ServerClock
    signing: RequestSigner
    on_answer: Callable[[Response, float, float], None]
    on_cancelled: Callable[[Call, Result], None]

    async def make(self, call: Call, tokens: TokenSource | None) -> Result:
        """Make the next attempt of a call.

        Args:
            call: The call.
            tokens: Where the bearer takes its tokens from; None for the token request itself,
                which takes no place in the throttle: those who hold one wait for the token.
        """
        result = Result(began=self.clock())
        try:
            result.response = await self._admitted(call, tokens, result)
        except TransportError as error:
            return result.failed(error, error.message, error.outcome, is_passing=error.is_passing)
        except (TokenError, ClientClosedError) as error:
            return result.failed(error, error.message, AttemptOutcome.NOT_SENT)
        except TimeoutError:
            words = "the deadline passed, or left no room, before anything was sent"
            return result.failed(None, words, AttemptOutcome.NOT_SENT)
        except asyncio.CancelledError:
            self.on_cancelled(call, result.failed(None, "cancelled", result.outcome))
            raise
        except Exception as error:
            if not call.attempts:
                raise
            # Whatever it is, it must not hide what the attempts before may have done.
            return result.failed(error, f"it failed ({type(error).__name__})", result.outcome)
        result.outcome = AttemptOutcome.ANSWERED
        return result

    async def _admitted(self, call: Call, tokens: TokenSource | None, result: Result) -> Response:
        if tokens is None:
            # No place for the token request: those who hold one may be waiting for its token.
            async with asyncio.timeout(max(0.0, self._left(call))):
                await self.throttle.pace()
            return await self._sent(call, result)
        result.token = tokens.at_hand
        if result.token is None or not self.throttle.enter_now():
            result.token = await self._waited(call, tokens)
        try:
            return await self._sent(call, result)
        finally:
            self.throttle.leave()

    async def _waited(self, call: Call, tokens: TokenSource) -> Token:
        """Wait for a token and for a place, which is held from then on."""
        async with asyncio.timeout(max(0.0, self._left(call))):
            # Fetched before a place is taken, so that its own retries block nobody.
            await tokens.get()
            await self.throttle.enter()
            try:
                # It may have grown old in the queue; most often this is the same one.
                return await tokens.get()
            except BaseException:
                self.throttle.leave()
                raise

    async def _sent(self, call: Call, result: Result) -> Response:
        result.began = self.clock()
        left = self._left(call)
        if left < self.policy.least_room:
            raise TimeoutError
        # From here on, until the transport says better.
        result.outcome = AttemptOutcome.UNKNOWN
        result.correction = self.server_clock.correction
        sent_at = self.now()
        # The transport has its own, finer reckoning of what was sent, and its own timer.
        response = await self.transport.send(
            call.request,
            signer=self.signing,
            bearer=None if result.token is None else result.token.access_token,
            timeout=min(self.attempt_timeout, left),
        )
        self.on_answer(response, result.began, sent_at)
        return response

    def _left(self, call: Call) -> float:
        return self.policy.deadline - (self.clock() - call.started)
