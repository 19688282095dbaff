"""Put readings of an execution's orders together until nothing more can change.

Pure: readings and the time go in, an outcome and whether it is the last one come out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Final
from uuid import UUID

import attrs

from upvest_rebalancing.models import Execution, ExecutionOrder, ExecutionOutcome, WalkVerdict
from upvest_rebalancing.protocol.readings import Readings

SETTLING: Final = 2.0
"""Seconds between two equal readings before they count as the whole list.

Only where nobody can say how many orders there should be: an execution that was triggered for
allocations, whose orders may still be being made.
"""

SETTLING_EMPTY: Final = 60.0
"""The same, where the list is empty: more likely late than empty."""

AGREEING: Final = 5
"""Thorough readings that agree, after which more of them will not say anything else."""

AGREEING_FOR: Final = 30.0
"""Seconds that they have to span at least."""

_UNPROVEN: Final = "readings agree that no more is to be seen, but not that it is all: "


@attrs.define(eq=False, repr=False, kw_only=True)
class Progress:
    """Keep the latest of what was read of each order.

    Attributes:
        execution: The execution that is waited for.
        started: When waiting began, in seconds on the caller's clock.
    """

    execution: Execution
    started: float
    _readings: Readings = attrs.field(factory=Readings, init=False)
    _times: int = attrs.field(default=0, init=False)
    _accounts: frozenset[UUID] = attrs.field(init=False)
    _accounts_left: set[UUID] = attrs.field(init=False)
    _verdict: WalkVerdict | None = attrs.field(default=None, init=False)
    _has_news: bool = attrs.field(default=False, init=False)
    _is_stuck: bool = attrs.field(default=False, init=False)
    _same_since: float | None = attrs.field(default=None, init=False)
    _agreeing: int = attrs.field(default=0, init=False)
    _agreeing_since: float = attrs.field(default=0.0, init=False)
    _claimed: int = attrs.field(default=0, init=False)
    _is_unproven: bool = attrs.field(default=False, init=False)

    def __attrs_post_init__(self) -> None:
        # Where allocations are named as well, the accounts are not all that there will be.
        named = () if self.execution.allocations else self.execution.accounts
        self._accounts = frozenset(named or ())
        self._accounts_left = set(self._accounts)

    @property
    def seems_final(self) -> bool:
        """Tell whether orders are known and all of them were final when they were read last."""
        return len(self._readings) > 0 and not self._readings.open

    @property
    def needs_care(self) -> bool:
        """Tell whether the next reading has to find what slips between the pages."""
        return self.seems_final or self._is_stuck

    @property
    def awaits_accounts(self) -> bool:
        """Tell whether accounts are known that should have an order and have none yet."""
        return bool(self._accounts_left)

    def take(self, orders: Iterable[ExecutionOrder]) -> None:
        """Take some of the orders, as they were read just now."""
        news = self._readings.take(orders)
        self._has_news = self._has_news or bool(news)
        self._accounts_left.difference_update(order.account_id for order in news)

    def glance(self) -> None:
        """Count a look at a part of the list."""
        self._times += 1

    def finish(self, verdict: WalkVerdict, now: float, *, thoroughly: bool = True) -> bool:
        """Say that the whole list was read, its orders having been taken.

        A reading that saw less than is known, or a total below that, makes no list complete. Where
        readings go on agreeing and still can't be complete, that is the end too, with an outcome
        that is not final and a verdict that is not complete.

        Args:
            verdict: How complete the reading is.
            now: When it was over, in seconds on the caller's clock.
            thoroughly: Whether the reading went over the list as often as it takes.

        Returns:
            True where nothing more is to be waited for.
        """
        self._times += 1
        known = len(self._readings)
        saw_all = verdict.seen >= known
        complete = verdict.complete and saw_all and verdict.expected >= known
        is_claimed = verdict.complete
        if is_claimed and not complete:
            reason = f"{known} orders are known, and the list does not account for them"
            verdict = attrs.evolve(verdict, complete=False, reason=reason)
        self._verdict = verdict
        self._is_stuck = not complete and not self._has_news
        self._note_agreement(verdict, now, thoroughly=thoroughly)
        if not complete:
            self._same_since = None
        elif self._same_since is None or self._has_news:
            self._same_since = now
        self._has_news = False
        if self._readings.open or self._accounts_left:
            return False
        if self._accounts:
            # Each account has its one order: of a total that claims more, or less, pass after pass
            # shows nothing.
            is_over = saw_all and (is_claimed or verdict.quiet_passes > 1)
        else:
            is_over = self._same_since is not None and now - self._same_since >= self._settling
        return is_over or self._gives_up(verdict, now)

    def _note_agreement(self, verdict: WalkVerdict, now: float, *, thoroughly: bool) -> None:
        if self._has_news or verdict.expected > self._claimed:
            self._agreeing = 0
        self._claimed = max(self._claimed, verdict.expected)
        if thoroughly:
            self._agreeing_since = self._agreeing_since if self._agreeing else now
            self._agreeing += 1

    def _gives_up(self, verdict: WalkVerdict, now: float) -> bool:
        if verdict.complete and len(self._readings):
            return False
        span = max(AGREEING_FOR, self._settling)
        if self._agreeing < AGREEING or now - self._agreeing_since < span:
            return False
        self._is_unproven = True
        self._verdict = attrs.evolve(verdict, complete=False, reason=_UNPROVEN + verdict.reason)
        return True

    def settles_in(self, now: float) -> float:
        """Say how long it takes until one more reading can be the last one, in seconds.

        Returns:
            0 where a reading can be worth its while at any time.
        """
        if self._accounts or self._same_since is None or not self.seems_final:
            return 0.0
        return max(0.0, self._same_since + self._settling - now)

    @property
    def _settling(self) -> float:
        return SETTLING if len(self._readings) else SETTLING_EMPTY

    def outcome(self, now: float) -> ExecutionOutcome:
        """Say what is known at this time, without copying it.

        Where waiting ended without a proof that all was seen, at least one order more than is
        known is expected, so that the outcome is not final.
        """
        readings = self._readings
        said = max(len(self._accounts), self._verdict.expected if self._verdict else 0)
        said = max(said, len(readings) + 1) if self._is_unproven else said
        return ExecutionOutcome(
            execution_id=self.execution.id,
            orders=readings.snapshot(),
            expected=max(said, len(readings)),
            verdict=self._verdict,
            readings=self._times,
            elapsed=now - self.started,
            by_status=+Counter(readings.by_status),
            by_cancellation_reason=+Counter(readings.by_cancellation_reason),
        )
