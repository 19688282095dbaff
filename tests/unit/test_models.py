"""Values: frozen, slotted, comparable, and open to what the server learns tomorrow."""

import pickle
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from upvest_rebalancing import models
from upvest_rebalancing.documents import set_raw
from upvest_rebalancing.models import (
    CancellationReason,
    ExecutionOrder,
    ExecutionOutcome,
    OrderStatus,
)

NOW = datetime(2026, 11, 22, tzinfo=UTC)


def order(status: str, account: UUID | None = None, **more: object) -> ExecutionOrder:
    values: dict[str, object] = {"created_at": NOW, "updated_at": NOW, "execution_id": uuid4()}
    return ExecutionOrder(
        id=uuid4(),
        account_id=account or uuid4(),
        status=OrderStatus(status),
        **(values | more),  # type: ignore[arg-type]
    )


@given(st.text())
def test_an_open_enumeration_takes_any_string(value: str) -> None:
    status = OrderStatus(value)
    assert status == value
    assert str(status) == value
    assert status.value == value
    assert OrderStatus(value) == status
    assert hash(OrderStatus(value)) == hash(status)
    assert pickle.loads(pickle.dumps(status)) == status
    assert status.is_documented == (value in OrderStatus.__members__)
    assert {status: 1}[OrderStatus(value)] == 1


def test_an_open_enumeration_takes_nothing_else() -> None:
    with pytest.raises(ValueError, match="5 is not a valid OrderStatus"):
        OrderStatus(5)  # type: ignore[arg-type]


def test_unknown_values_do_not_become_members() -> None:
    OrderStatus("FROZEN")
    assert "FROZEN" not in OrderStatus.__members__
    assert len(list(OrderStatus)) == 5


def test_final_statuses() -> None:
    assert [s.name for s in OrderStatus if s.is_final] == ["FILLED", "CANCELLED", "SETTLED"]
    ranks = [OrderStatus(s).rank for s in ("NEW", "FROZEN", "PROCESSING", "FILLED", "SETTLED")]
    assert ranks == sorted(ranks)


@pytest.mark.parametrize(
    "cls", [v for v in vars(models).values() if isinstance(v, type) and attrs.has(v)]
)
def test_models_are_frozen_and_slotted(cls: type[attrs.AttrsInstance]) -> None:
    assert "__slots__" in vars(cls)
    assert cls.__setattr__ is not object.__setattr__
    documented = cls.__doc__ or ""
    for field in attrs.fields(cls):
        assert field.name.startswith("_") or f"{field.name}:" in documented, field.name


def test_raw_json_takes_no_part_in_equality_or_repr() -> None:
    first = order("NEW")
    second = attrs.evolve(first)
    set_raw(first, {"a": 1})
    set_raw(second, b'{"b": 2}')
    assert first == second
    assert (first.raw, second.raw) == ({"a": 1}, {"b": 2})
    assert "raw" not in repr(first)


def test_an_outcome_counts() -> None:
    account = uuid4()
    orders = (
        order("FILLED"),
        order("CANCELLED", cancellation_reason=CancellationReason.ACCOUNT_IS_EMPTY),
        order("CANCELLED"),
        order("NEW", account, updated_at=NOW + timedelta(seconds=1)),
        order("FILLED", account),
    )
    outcome = ExecutionOutcome(execution_id=uuid4(), orders=orders, expected=5)
    assert outcome.by_status == {"FILLED": 2, "CANCELLED": 2, "NEW": 1}
    assert outcome.by_cancellation_reason == {"ACCOUNT_IS_EMPTY": 1, "UNKNOWN": 1}
    assert outcome.by_account[account].status is OrderStatus.NEW
    assert not outcome.is_final


def test_an_outcome_is_final_when_all_are_there_and_final() -> None:
    orders = (order("FILLED"), order("CANCELLED"))
    outcome = ExecutionOutcome(execution_id=uuid4(), orders=orders, expected=2)
    assert outcome.is_final
    assert not attrs.evolve(outcome, expected=3).is_final
