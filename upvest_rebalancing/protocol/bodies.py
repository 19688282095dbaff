"""What the bodies of successful answers say; see `upvest_rebalancing.protocol.structuring`."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import attrs

from upvest_rebalancing.models import ExecutionOrder, PageMeta


class NotAsSpecifiedError(ValueError):
    """A document is not as the specification has it; the message says where and what."""


@attrs.frozen(repr=False, kw_only=True)
class TriggerBody:
    """What the answer to a trigger says; see `upvest_rebalancing.models.TriggeredExecution`."""

    id: UUID


@attrs.frozen(repr=False, kw_only=True)
class ExecutionBody:
    """What an execution's answer says; see `upvest_rebalancing.models.Execution`."""

    id: UUID
    created_at: datetime
    updated_at: datetime
    accounts: tuple[UUID, ...] | None = None
    allocations: tuple[UUID, ...] | None = None


@attrs.frozen(repr=False, kw_only=True)
class PageBody:
    """What a page's answer says; see `upvest_rebalancing.models.Page`."""

    meta: PageMeta
    data: tuple[ExecutionOrder, ...]
