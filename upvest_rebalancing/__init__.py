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
from importlib import import_module
from typing import TYPE_CHECKING

from upvest_rebalancing._version import __version__

if TYPE_CHECKING:
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

# What stands here is imported when it is first asked for (PEP 562), so that who needs one name, or
# the sandbox alone, does not wait for aiohttp and every other module.
_NAMES = {
    "authentication": ("BearerMiddleware", "SigningMiddleware", "TokenSource"),
    "client": ("RebalancingClient",),
    "errors": (
        "AnsweredError",
        "AnswerTooLargeError",
        "APIError",
        "Attempt",
        "AttemptOutcome",
        "BadGatewayError",
        "BadRequestError",
        "ClientClosedError",
        "ConfigurationError",
        "ConflictError",
        "DeadlineExceededError",
        "ForbiddenError",
        "GatewayTimeoutError",
        "InternalServerError",
        "InvalidAnswerError",
        "InvalidRequestError",
        "KeyLoadError",
        "MethodNotAllowedError",
        "NotAcceptableError",
        "NotFoundError",
        "NotSentError",
        "OutcomeUnknownError",
        "RebalancingError",
        "RedirectError",
        "RequestError",
        "ScopeError",
        "ServerError",
        "ServiceUnavailableError",
        "TokenError",
        "TooManyRequestsError",
        "UnauthorizedError",
        "UnprocessableEntityError",
        "WaitTimeoutError",
    ),
    "events": ("AttemptEvent", "AttemptFinished", "AttemptHook", "AttemptStarted"),
    "identity": ("LIVE_URL", "SANDBOX_URL"),
    "models": (
        "Authentication",
        "CancellationReason",
        "Execution",
        "ExecutionOrder",
        "ExecutionOutcome",
        "ListOrder",
        "OrderStatus",
        "Page",
        "PageMeta",
        "TriggeredExecution",
        "WalkVerdict",
    ),
    "options": ("ClientOptions",),
    "protocol.endpoints": ("new_idempotency_key",),
    "protocol.keys": ("SigningKey", "load_private_key"),
    "protocol.retries": ("RetryBudget", "RetryPolicy"),
    "protocol.signatures": ("Signer",),
    "protocol.tokens": ("Token",),
    "settings": ("Settings",),
    "statistics": ("Statistics",),
    "waiting": ("Watch",),
    "walking": ("OrderWalk",),
}
_HOMES = {name: module for module, names in _NAMES.items() for name in names}

if not TYPE_CHECKING:
    # A type checker that saw this would let every misspelt name pass.
    def __getattr__(name: str) -> object:
        if name in _HOMES:
            value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
            globals()[name] = value
            return value
        if name in _NAMES:
            # A module, which would be there as well if the imports above were carried out.
            return import_module(f"{__name__}.{name}")
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


# A library that is quiet until its user asks: without this, warnings would go to stderr.
logging.getLogger(__name__).addHandler(logging.NullHandler())
