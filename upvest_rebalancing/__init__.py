"""An asyncio client for Upvest's Portfolios Rebalancing API.

Example:
    >>> import asyncio
    >>> from upvest_rebalancing import RebalancingClient
    >>> from upvest_rebalancing.sandbox import Sandbox
    >>> async def main():
    ...     async with Sandbox(order_seconds=0) as sandbox:
    ...         environ = sandbox.environment()
    ...         async with RebalancingClient.from_env(None, environ=environ) as client:
    ...             execution = await client.trigger(
    ...                 accounts=["43801b85-bbcf-41c7-8389-b018082a5ec5"]
    ...             )
    ...             outcome = await client.wait(execution.id, timeout=60)
    ...             print(outcome.is_final, len(outcome.orders))
    >>> asyncio.run(main())
    True 1
"""

import logging

from upvest_rebalancing._version import __version__
from upvest_rebalancing.authentication import BearerMiddleware, SigningMiddleware, TokenSource
from upvest_rebalancing.client import RebalancingClient
from upvest_rebalancing.errors import (
    AnsweredError,
    AnswerTooLargeError,
    APIError,
    Attempt,
    AttemptOutcome,
    BadGatewayError,
    BadRequestError,
    ClientClosedError,
    ConfigurationError,
    ConflictError,
    DeadlineExceededError,
    ForbiddenError,
    GatewayTimeoutError,
    InternalServerError,
    InvalidAnswerError,
    InvalidRequestError,
    KeyLoadError,
    MethodNotAllowedError,
    NotAcceptableError,
    NotFoundError,
    NotSentError,
    OutcomeUnknownError,
    RebalancingError,
    RedirectError,
    RequestError,
    ScopeError,
    ServerError,
    ServiceUnavailableError,
    TokenError,
    TooManyRequestsError,
    UnauthorizedError,
    UnprocessableEntityError,
    WaitTimeoutError,
)
from upvest_rebalancing.events import AttemptEvent, AttemptFinished, AttemptHook, AttemptStarted
from upvest_rebalancing.identity import LIVE_URL, SANDBOX_URL
from upvest_rebalancing.models import (
    Authentication,
    CancellationReason,
    Execution,
    ExecutionOrder,
    ExecutionOutcome,
    ListOrder,
    OrderStatus,
    Page,
    PageMeta,
    TriggeredExecution,
    WalkVerdict,
)
from upvest_rebalancing.options import ClientOptions
from upvest_rebalancing.protocol.endpoints import new_idempotency_key
from upvest_rebalancing.protocol.keys import SigningKey, load_private_key
from upvest_rebalancing.protocol.retries import RetryBudget, RetryPolicy
from upvest_rebalancing.protocol.signatures import Signer
from upvest_rebalancing.protocol.tokens import Token
from upvest_rebalancing.settings import Settings
from upvest_rebalancing.statistics import Statistics
from upvest_rebalancing.waiting import Watch
from upvest_rebalancing.walking import OrderWalk

__all__ = [
    "LIVE_URL",
    "SANDBOX_URL",
    "APIError",
    "AnswerTooLargeError",
    "AnsweredError",
    "Attempt",
    "AttemptEvent",
    "AttemptFinished",
    "AttemptHook",
    "AttemptOutcome",
    "AttemptStarted",
    "Authentication",
    "BadGatewayError",
    "BadRequestError",
    "BearerMiddleware",
    "CancellationReason",
    "ClientClosedError",
    "ClientOptions",
    "ConfigurationError",
    "ConflictError",
    "DeadlineExceededError",
    "Execution",
    "ExecutionOrder",
    "ExecutionOutcome",
    "ForbiddenError",
    "GatewayTimeoutError",
    "InternalServerError",
    "InvalidAnswerError",
    "InvalidRequestError",
    "KeyLoadError",
    "ListOrder",
    "MethodNotAllowedError",
    "NotAcceptableError",
    "NotFoundError",
    "NotSentError",
    "OrderStatus",
    "OrderWalk",
    "OutcomeUnknownError",
    "Page",
    "PageMeta",
    "RebalancingClient",
    "RebalancingError",
    "RedirectError",
    "RequestError",
    "RetryBudget",
    "RetryPolicy",
    "ScopeError",
    "ServerError",
    "ServiceUnavailableError",
    "Settings",
    "Signer",
    "SigningKey",
    "SigningMiddleware",
    "Statistics",
    "Token",
    "TokenError",
    "TokenSource",
    "TooManyRequestsError",
    "TriggeredExecution",
    "UnauthorizedError",
    "UnprocessableEntityError",
    "WaitTimeoutError",
    "WalkVerdict",
    "Watch",
    "__version__",
    "load_private_key",
    "new_idempotency_key",
]

# A library that is quiet until its user asks: without this, warnings would go to stderr.
logging.getLogger(__name__).addHandler(logging.NullHandler())
