"""Choose the error for a call that got no answer, and complete every error with its call.

For a call that changes something, the attempt that says most about the effect wins over the last
one: "never sent" is only said where no attempt was.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import TypeVar

from upvest_rebalancing.errors import (
    Attempt,
    AttemptOutcome,
    DeadlineExceededError,
    NotSentError,
    OutcomeUnknownError,
    RequestError,
    TokenError,
)
from upvest_rebalancing.protocol.messages import Request

_Error = TypeVar("_Error", bound=RequestError)


def unanswered(
    request: Request, attempts: Sequence[Attempt], cause: Exception | None
) -> RequestError:
    """Make the error for a call whose last attempt brought no answer.

    Args:
        request: The call.
        attempts: Its attempts, oldest first; at least one.
        cause: What the last attempt failed with; None where time ran out before it was sent.

    Returns:
        The error, to be completed by `complete`.
    """
    last = attempts[-1]
    if last.outcome is AttemptOutcome.UNKNOWN:
        return OutcomeUnknownError(_with_consequence(f"no complete answer: {last.error}", request))
    earlier = next((a for a in reversed(attempts) if a.may_have_been_executed), None)
    if earlier is not None and not request.is_safe:
        text = f"no complete answer: {last.error}; attempt {earlier.number} before: {earlier.error}"
        return OutcomeUnknownError(_with_consequence(text, request))
    if isinstance(cause, TokenError):
        # Every waiter for the token got the same object, and each completes its own.
        return copy.copy(cause)
    if cause is None:
        return DeadlineExceededError(f"nothing was sent: {last.error}")
    return NotSentError(f"nothing was sent: {last.error}")


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
