"""Choose the error for a call that failed, and complete every error with its call.

The attempt that says most wins over the last one: "never sent" is only said where no attempt was
sent, and an outcome that is unknown is not hidden by what came after it, short of an answer.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from datetime import datetime
from typing import TypeVar

from upvest_rebalancing.attempts import Call, Result
from upvest_rebalancing.errors import (
    Attempt,
    AttemptOutcome,
    ClientClosedError,
    DeadlineExceededError,
    NotSentError,
    OutcomeUnknownError,
    RequestError,
    TokenError,
)
from upvest_rebalancing.protocol.codec import decode_error
from upvest_rebalancing.protocol.messages import Request

_Error = TypeVar("_Error", bound=RequestError)


def failure(call: Call, result: Result, now: datetime) -> RequestError:
    """Make the error for a call that failed for good.

    Args:
        call: The call; the attempt that ended it is the last of its attempts.
        result: What that attempt brought.
        now: The time.

    Returns:
        The error, to be completed by `complete`.
    """
    if result.response is not None:
        return decode_error(result.response, now)
    request, last = call.request, call.attempts[-1]
    unknown = _latest(call.attempts, AttemptOutcome.UNKNOWN)
    if unknown is not None:
        text = f"no complete answer: {unknown.error}"
        if unknown is not last:
            text += f" (attempt {unknown.number}); after that: {last.error}"
        return OutcomeUnknownError(_with_consequence(text, request))
    if call.last_answer is not None:
        error = decode_error(call.last_answer, now)
        error.message += f"; after that: {last.error}"
        return error
    if isinstance(result.error, TokenError | ClientClosedError):
        # Every waiter for the token got the same object, and each completes its own.
        return copy.copy(result.error)
    if result.error is None:
        return DeadlineExceededError(f"nothing was sent: {last.error}")
    return NotSentError(f"nothing was sent: {last.error}")


def _latest(attempts: Sequence[Attempt], outcome: AttemptOutcome) -> Attempt | None:
    return next((a for a in reversed(attempts) if a.outcome is outcome), None)


def complete(
    error: _Error, request: Request, attempts: Sequence[Attempt], reason: str | None = None
) -> _Error:
    """Add to an error what its maker could not know: the call, its attempts, why it ended.

    Args:
        error: The error; it is changed and returned.
        request: The call.
        attempts: Its attempts, oldest first.
        reason: Why no further attempt was made.
    """
    error.operation = request.operation
    error.method = request.method
    error.path = request.target
    error.idempotency_key = request.idempotency_key
    error.attempts = tuple(attempts)
    error.reason = reason
    if error.request_id is None:
        ids = (attempt.request_id for attempt in reversed(attempts))
        error.request_id = next((found for found in ids if found is not None), None)
    return error


def _with_consequence(text: str, request: Request) -> str:
    if request.idempotency_key is None:
        return text
    return (
        f"{text}. The {request.operation} may have been executed; send it again with the same "
        f"idempotency key, {request.idempotency_key}, to find out"
    )
