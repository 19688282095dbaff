"""What a client tells its hook about every attempt: for logs, metrics, traces, and key stores."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import attrs

from upvest_rebalancing.errors import Attempt


@attrs.frozen(kw_only=True)
class AttemptStarted:
    """An attempt is about to be made; nothing of it has been sent yet.

    A hook that raises here stops the call before its first byte: a store that can't keep an
    idempotency key can keep the trigger from being sent.

    Attributes:
        operation: The call's name: ``trigger``, ``execution``, ``orders`` or ``token``.
        method: The HTTP method.
        target: Path and query.
        idempotency_key: The key that the call carries; None where it has none.
        number: The attempt, counted from 1.
    """

    operation: str
    method: str
    target: str
    idempotency_key: str | None
    number: int


@attrs.frozen(kw_only=True)
class AttemptFinished:
    """An attempt is over.

    Attributes:
        operation: The call's name: ``trigger``, ``execution``, ``orders`` or ``token``.
        method: The HTTP method.
        target: Path and query.
        idempotency_key: The key that the call carries; None where it has none.
        attempt: What the attempt did, and how long the client waits before the next.
    """

    operation: str
    method: str
    target: str
    idempotency_key: str | None
    attempt: Attempt


AttemptEvent: TypeAlias = AttemptStarted | AttemptFinished
AttemptHook: TypeAlias = Callable[[AttemptEvent], None]
"""Called on the event loop; it must not block."""
