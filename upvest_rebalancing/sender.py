"""The one retry loop: every call goes through `Sender.send`, and every attempt is seen there."""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Final, NoReturn

import attrs

from upvest_rebalancing.attempts import Answer, Attempter, Call, Result
from upvest_rebalancing.authentication import TokenSource
from upvest_rebalancing.errors import Attempt, AttemptOutcome
from upvest_rebalancing.events import AttemptFinished, AttemptHook, AttemptStarted
from upvest_rebalancing.failures import complete, failure
from upvest_rebalancing.last_step import RequestSigner
from upvest_rebalancing.protocol.clock import ServerClock
from upvest_rebalancing.protocol.codec import retry_after
from upvest_rebalancing.protocol.messages import Request, Response
from upvest_rebalancing.protocol.pacing import REFUSALS
from upvest_rebalancing.protocol.redaction import shown_headers
from upvest_rebalancing.protocol.retries import (
    GiveUp,
    Jitter,
    RetryBudget,
    RetryPolicy,
    Wait,
    decide,
    parse_http_date,
)
from upvest_rebalancing.statistics import Counts
from upvest_rebalancing.throttle import Throttle
from upvest_rebalancing.transport import Transport

logger = logging.getLogger("upvest_rebalancing")

_UNAUTHORIZED: Final = 401
_TOO_MANY_REQUESTS: Final = 429

_STEADY: Final = 1.0
"""Seconds that this machine's two clocks may differ over one attempt before neither is trusted."""

_WARNINGS: Final = 5
"""Jumps of the clock that are warned of; a clock that never stops jumping must not fill a log."""


@attrs.define(eq=False, repr=False, kw_only=True)
class Sender:
    """Send requests until they are answered, or until there is a reason to give up.

    Attributes:
        transport: Sends single attempts.
        throttle: Admits them.
        signing: Signs them.
        policy: How often and how long to try.
        budget: Keeps retries in proportion; shared by all calls of a client.
        attempt_timeout: Seconds for one attempt.
        clock: Gives seconds that never go back.
        sleep: Sleeps for seconds.
        jitter: Picks a pause between 0 and the longest.
        hook: Told of every attempt; None for nobody.
        now: Gives the time in seconds since 1970.
        server_clock: Learns the server's time from its answers.
        counts: What was done so far.
    """

    transport: Transport
    throttle: Throttle
    signing: RequestSigner
    policy: RetryPolicy
    budget: RetryBudget
    attempt_timeout: float
    clock: Callable[[], float]
    sleep: Callable[[float], Awaitable[None]]
    jitter: Jitter
    hook: AttemptHook | None = None
    now: Callable[[], float] = time.time
    server_clock: ServerClock = attrs.field(factory=ServerClock)
    _attempter: Attempter = attrs.field(init=False)
    counts: Counts = attrs.field(factory=Counts, init=False)

    def __attrs_post_init__(self) -> None:
        self._attempter = Attempter(
            transport=self.transport,
            throttle=self.throttle,
            policy=self.policy,
            attempt_timeout=self.attempt_timeout,
            clock=self.clock,
            now=self.now,
            server_clock=self.server_clock,
            signing=self.signing,
            on_answer=self._learn,
            on_cancelled=self._finish,
        )

    async def send(self, request: Request, tokens: TokenSource | None = None) -> Answer:
        """Send a request, with retries.

        Args:
            request: What to send; every attempt sends the same bytes and idempotency key.
            tokens: Where the bearer takes its tokens from; None for the token request itself.

        Returns:
            The answer, with a status of success.

        Raises:
            RequestError: The call failed for good.
        """
        call = Call(request, started=self.clock())
        self.counts.calls += 1
        while True:
            refusal = None if self.hook is None else self._ask(self.hook, call)
            if refusal is None:
                self.counts.requests += 1
                self.counts.retries += len(call.attempts) > 0
            result = refusal or await self._attempter.make(call, tokens)
            response = result.response
            if response is not None and response.is_success and not response.too_large:
                self._finish(call, result)
                self.budget.succeed()
                return Answer(
                    request=request,
                    response=response,
                    attempts=tuple(call.attempts),
                    sent_at=result.began,
                )
            call.last_answer = response or call.last_answer
            if self._repairs(call, result, tokens):
                call.repairs += 1
                self._finish(call, result, wait=0.0)
                continue
            await self.sleep(self._pause(call, result))

    def _ask(self, hook: AttemptHook, call: Call) -> Result | None:
        """Tell the hook of an attempt; where it refuses a later one, that is how it ends."""
        number = len(call.attempts) + 1
        began = self.clock()
        try:
            hook(_started(call.request, number))
        except Exception as error:
            if number == 1:
                raise
            # What the attempts before may have done must not be hidden by the hook's error.
            words = f"the hook refused the attempt ({type(error).__name__})"
            return Result(began=began).failed(error, words, AttemptOutcome.NOT_SENT)
        return None

    def _learn(self, response: Response, began: float, sent_at: float) -> None:
        is_refused = response.status in REFUSALS
        self.throttle.answered(
            response.status,
            sent_at=began,
            retry_after=self._asked(response) if is_refused else None,
            policy=response.headers.get("ratelimit-policy"),
        )
        date = parse_http_date(response.headers.get("date"))
        if date is None or response.headers.get("age", "0") != "0":
            # A cache says when the answer was made, not when it was given.
            return
        received, took = self.now(), max(0.0, self.clock() - began)
        is_refused = response.status == _UNAUTHORIZED
        if abs(received - sent_at - took) > _STEADY and not is_refused:
            # This machine's clock jumped, or the machine slept, while the request was under way.
            return
        is_news = self.server_clock.observe(
            date=date.timestamp(),
            # By the clock as it is now: it may have jumped since the request was sent.
            sent=received - took,
            received=received,
            is_refused=is_refused,
        )
        if is_news and self.server_clock.jumps <= _WARNINGS:
            logger.warning(
                "the server's clock is %+.1f s from this machine's; signatures are corrected",
                self.server_clock.correction,
            )

    def _repairs(self, call: Call, result: Result, tokens: TokenSource | None) -> bool:
        """Mend what a 401 may be due to, each cause once: the clock, or else the token."""
        if result.response is None or result.response.status != _UNAUTHORIZED:
            return False
        if not call.is_corrected and self.server_clock.explains(result.correction):
            call.is_corrected = True
            return True
        if tokens is None or result.token is None or call.is_renewed:
            return False
        tokens.reject(result.token)
        call.is_renewed = True
        return True

    def _pause(self, call: Call, result: Result) -> float:
        """Give the seconds to wait before the next attempt, or raise the call's error."""
        response = result.response
        asked = None if response is None else self._asked(response)
        status = None if response is None else response.status
        decision: Wait | GiveUp
        if not result.is_passing or (response is not None and response.too_large):
            decision = GiveUp("this failure is not one that passes")
        else:
            decision = decide(
                self.policy,
                attempt=len(call.attempts) + 1 - call.repairs,
                outcome=result.outcome,
                status=status,
                retry_after=asked,
                elapsed=self.clock() - call.started,
                jitter=self.jitter,
            )
        # A 429 costs the server little, and the throttle keeps those that follow in proportion.
        is_paid = status != _TOO_MANY_REQUESTS
        if isinstance(decision, Wait) and is_paid and not self.budget.spend():
            decision = GiveUp("the client's retry budget is used up: too many calls fail")
        if isinstance(decision, GiveUp):
            self._finish(call, result, asked)
            self._fail(call, result, decision.reason)
        self._finish(call, result, asked, decision.seconds)
        return decision.seconds

    def _finish(
        self,
        call: Call,
        result: Result,
        asked: float | None = None,
        wait: float | None = None,
    ) -> None:
        request, response = call.request, result.response
        status, request_id, words = None, None, result.words
        if response is not None:
            status, request_id = response.status, response.request_id
            self.counts.answers[status] += 1
            if not response.is_success:
                words = f"HTTP {status}"
        attempt = Attempt(
            len(call.attempts) + 1,
            result.began - call.started,
            self.clock() - result.began,
            result.outcome,
            status,
            request_id,
            words,
            asked,
            wait,
        )
        call.attempts.append(attempt)
        if logger.isEnabledFor(logging.DEBUG):
            logger.debug(
                "%s %s attempt %d: %s, %.0f ms, request %s, answer %s",
                request.method,
                request.target,
                attempt.number,
                words or f"HTTP {status}",
                attempt.duration * 1000,
                shown_headers(request.headers),
                None if response is None else shown_headers(response.headers, response.secrets),
            )
        if self.hook is None:
            return
        try:
            self.hook(_finished(request, attempt))
        except Exception:
            # The answer of a trigger must not be lost to a metric that could not be counted.
            logger.exception("the hook failed on a finished attempt")

    def _asked(self, response: Response) -> float | None:
        return retry_after(response, self._time_of_day())

    def _time_of_day(self) -> datetime:
        return datetime.fromtimestamp(self.now(), UTC)

    def _fail(self, call: Call, result: Result, reason: str) -> NoReturn:
        error = failure(call, result, self._time_of_day())
        raise complete(error, call.request, call.attempts, reason) from result.error


def _started(request: Request, number: int) -> AttemptStarted:
    return AttemptStarted(
        operation=request.operation,
        method=request.method,
        target=request.target,
        idempotency_key=request.idempotency_key,
        number=number,
    )


def _finished(request: Request, attempt: Attempt) -> AttemptFinished:
    return AttemptFinished(
        operation=request.operation,
        method=request.method,
        target=request.target,
        idempotency_key=request.idempotency_key,
        attempt=attempt,
    )
