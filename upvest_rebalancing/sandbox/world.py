"""The world behind the API: allocations, the fates of accounts, and executions."""

from collections.abc import Iterable
from typing import Literal
from uuid import UUID

import attrs

from upvest_rebalancing.sandbox.config import SandboxConfig
from upvest_rebalancing.sandbox.lifecycle import CANCELLATIONS, Outcome, fate_of, identifier
from upvest_rebalancing.sandbox.orders import OrderBook
from upvest_rebalancing.sandbox.uuids import canonical_uuid

TriggerKind = Literal["accounts", "allocations"]


@attrs.frozen
class Execution:
    """A triggered rebalancing.

    Attributes:
        id: Its UUID.
        client_id: The client that triggered it; others do not see it.
        created_at: When, in Unix seconds.
        accounts: The accounts that it was triggered with.
        allocations: The allocations that it was triggered with.
        orders: Its orders.
    """

    id: str
    client_id: str
    created_at: float
    accounts: tuple[str, ...] = attrs.field(repr=False)
    allocations: tuple[str, ...] = attrs.field(repr=False)
    orders: OrderBook = attrs.field(repr=False)


class World:
    """Accounts, allocations and executions, as the seed has them.

    Args:
        config: The seed, the speed and the shares.
    """

    def __init__(self, config: SandboxConfig) -> None:
        self._config = config
        self._allocations: dict[str, tuple[str, ...]] = {}
        self._outcomes: dict[str, tuple[Outcome, str | None]] = {}
        self._executions: dict[str, Execution] = {}

    def add_allocation(self, allocation_id: UUID | str, account_ids: Iterable[UUID | str]) -> None:
        """Say which accounts an allocation stands for.

        Args:
            allocation_id: The allocation's UUID.
            account_ids: The accounts' UUIDs.

        Raises:
            ValueError: One of them is no UUID.
        """
        accounts = tuple(canonical_uuid(account, "account_ids") for account in account_ids)
        self._allocations[canonical_uuid(allocation_id, "allocation_id")] = accounts

    def set_outcome(self, account_id: UUID | str, outcome: Outcome, reason: str | None) -> None:
        """Decide what becomes of an account's orders of later triggers, in place of the seed.

        Args:
            account_id: The account's UUID.
            outcome: `FILLED` or `CANCELLED`.
            reason: Why, for `CANCELLED`: one of the specification's reasons.

        Raises:
            ValueError: An argument is none of those.
        """
        account = canonical_uuid(account_id, "account_id")
        if outcome not in {"FILLED", "CANCELLED"}:
            message = f"outcome={outcome!r}: must be 'FILLED' or 'CANCELLED'"
            raise ValueError(message)
        if outcome == "CANCELLED" and reason not in CANCELLATIONS:
            message = f"reason={reason!r}: must be one of {', '.join(CANCELLATIONS)}"
            raise ValueError(message)
        if outcome == "FILLED" and reason is not None:
            message = f"reason={reason!r}: must be None for an order that is FILLED"
            raise ValueError(message)
        self._outcomes[account] = (outcome, reason)

    def accounts_of(self, allocation_id: str) -> tuple[str, ...]:
        """Return the accounts that an allocation stands for.

        Args:
            allocation_id: The allocation, in lower case.
        """
        known = self._allocations.get(allocation_id)
        if known is not None:
            return known
        return tuple(
            identifier(self._config.seed, "allocation", allocation_id, str(number))
            for number in range(self._config.allocation_accounts)
        )

    def trigger(
        self, client_id: str, kind: TriggerKind, ids: Iterable[str], now: float
    ) -> Execution:
        """Rebalance: make an execution with one order for each distinct account.

        Args:
            client_id: Who triggers.
            kind: What the ids are ids of.
            ids: Accounts or allocations, in lower case.
            now: The time in Unix seconds.
        """
        config = self._config
        given = tuple(dict.fromkeys(ids))
        accounts = given
        if kind == "allocations":
            accounts = tuple(account for each in given for account in self.accounts_of(each))
        execution_id = identifier(config.seed, "execution", str(len(self._executions)))
        fates = {
            account: fate_of(
                config.seed,
                account,
                cancelled_share=config.cancelled_share,
                fixed=self._outcomes.get(account),
            )
            for account in accounts
        }
        execution = Execution(
            id=execution_id,
            client_id=client_id,
            created_at=now,
            accounts=given if kind == "accounts" else (),
            allocations=given if kind == "allocations" else (),
            orders=OrderBook(
                seed=config.seed,
                execution_id=execution_id,
                created_at=now,
                fates=fates,
                order_seconds=config.order_seconds,
                moves_per_read=config.moves_per_read,
            ),
        )
        self._executions[execution_id] = execution
        return execution

    def execution(self, client_id: str, execution_id: str) -> Execution | None:
        """Return a client's execution, or None if the client has none of that id.

        Args:
            client_id: Who asks.
            execution_id: The execution, in lower case.
        """
        found = self._executions.get(execution_id)
        return found if found is not None and found.client_id == client_id else None
