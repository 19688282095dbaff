from __future__ import annotations

from itertools import count
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.bulk.strategies import distinct_accounts
from upvest_rebalancing.bulk.plan import plan_batches
from upvest_rebalancing.errors import InvalidRequestError


@given(distinct_accounts, st.integers(1, 50))
@settings(deadline=None)
def test_batches_hold_every_account_once_and_in_order(
    accounts: list[UUID], batch_size: int
) -> None:
    keys = count(1)
    batches = plan_batches(accounts, batch_size=batch_size, new_key=lambda: f"key-{next(keys)}")
    assert [one for batch in batches for one in batch.accounts] == accounts
    assert all(len(batch.accounts) == batch_size for batch in batches[:-1])
    assert all(0 < len(batch.accounts) <= batch_size for batch in batches)
    assert [batch.number for batch in batches] == list(range(1, len(batches) + 1))
    assert [batch.idempotency_key for batch in batches] == [
        f"key-{number}" for number in range(1, len(batches) + 1)
    ]


@pytest.mark.parametrize("batch_size", [0, -1])
def test_a_batch_has_at_least_one_account(batch_size: int) -> None:
    with pytest.raises(InvalidRequestError, match="1 or more would be right"):
        plan_batches([], batch_size=batch_size, new_key=lambda: "key")
