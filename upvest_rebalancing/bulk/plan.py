"""Cut a list of accounts into batches, each with the idempotency key of its trigger.

The plan is a value apart from the job that carries it out: every key exists before the first
request, so that whatever stops the job, each batch can be asked about again with its own key.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from uuid import UUID

import attrs

from upvest_rebalancing.errors import InvalidRequestError


@attrs.frozen
class Batch:
    """Accounts that one trigger names.

    Attributes:
        number: Counted from 1.
        idempotency_key: The key that every attempt of the trigger carries.
        accounts: The accounts, in the order of the list.
    """

    number: int
    idempotency_key: str
    accounts: tuple[UUID, ...] = attrs.field(repr=False)


def plan_batches(
    accounts: Sequence[UUID], *, batch_size: int, new_key: Callable[[], str]
) -> tuple[Batch, ...]:
    """Cut accounts into batches.

    Args:
        accounts: The accounts, each once.
        batch_size: How many accounts a batch has at the most, from 1.
        new_key: Makes an idempotency key; called once for each batch.

    Returns:
        The batches, in the order of the list.

    Raises:
        InvalidRequestError: The batch size is below 1.
    """
    if batch_size < 1:
        message = f"batch_size is {batch_size}; 1 or more would be right"
        raise InvalidRequestError(message)
    return tuple(
        Batch(number, new_key(), tuple(accounts[start : start + batch_size]))
        for number, start in enumerate(range(0, len(accounts), batch_size), start=1)
    )
