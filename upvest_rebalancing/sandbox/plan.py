"""Which fault strikes which request: a matter of counters and of a seed, and of nothing else."""

import random
from collections import Counter

import attrs

from upvest_rebalancing.sandbox.faults import Fault
from upvest_rebalancing.sandbox.kinds import Moment


def is_struck(fault: Fault, *, seen: int, struck: int, chance: random.Random) -> bool:
    """Decide whether a fault strikes a request that matches it.

    Args:
        fault: The fault.
        seen: How many requests matched it before this one.
        struck: How many of them it struck.
        chance: Where a draw is taken from, for a fault that strikes with some probability and a
            request that is due.
    """
    if fault.count is not None and struck >= fault.count:
        return False
    due = seen - fault.after + 1
    if due < 1 or due % fault.every:
        return False
    return fault.probability >= 1 or chance.random() < fault.probability


@attrs.frozen
class Strike:
    """A fault that strikes a request.

    Attributes:
        fault: The fault.
        nth: Which strike of it this is at the same thing (an execution, say), from 1.
    """

    fault: Fault
    nth: int


class InjectedFault:
    """A fault at work in a sandbox, with what it has done so far.

    Args:
        id: Its number, unique in a sandbox.
        fault: What it does.
        seed: What its chance is drawn from.
    """

    def __init__(self, id: int, fault: Fault, *, seed: int) -> None:  # noqa: A002 - its name
        self._id = id
        self._fault = fault
        self._seen = 0
        self._struck = 0
        self._struck_at: Counter[str] = Counter()
        # A stream of its own: faults that are added later do not change what this one draws.
        self._chance = random.Random(f"{seed}/{id}")  # noqa: S311 - a repeatable draw is wanted

    def __repr__(self) -> str:
        return f"<fault {self._id}: {self._fault}, struck {self._struck} of {self._seen}>"

    @property
    def id(self) -> int:
        """Its number in the sandbox."""
        return self._id

    @property
    def fault(self) -> Fault:
        """What it does."""
        return self._fault

    @property
    def seen(self) -> int:
        """How many requests have matched it."""
        return self._seen

    @property
    def struck(self) -> int:
        """How many requests it has struck."""
        return self._struck

    def meet(self, key: str) -> Strike | None:
        """Count a request that matches, and strike it or not.

        Args:
            key: What the request is about, such as an execution's id.
        """
        strikes = is_struck(self._fault, seen=self._seen, struck=self._struck, chance=self._chance)
        self._seen += 1
        if not strikes:
            return None
        self._struck += 1
        self._struck_at[key] += 1
        return Strike(self._fault, self._struck_at[key])


class FaultPlan:
    """The faults at work in a sandbox.

    Args:
        seed: What chances are drawn from.
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._injected: list[InjectedFault] = []
        self._made = 0

    @property
    def injected(self) -> tuple[InjectedFault, ...]:
        """All of them, in the order in which they were injected."""
        return tuple(self._injected)

    def inject(self, fault: Fault) -> InjectedFault:
        """Let a fault strike from now on.

        Args:
            fault: The fault.
        """
        self._made += 1
        injected = InjectedFault(self._made, fault, seed=self._seed)
        self._injected.append(injected)
        return injected

    def clear(self) -> int:
        """End all faults, and return how many there were."""
        count = len(self._injected)
        self._injected = []
        return count

    def all_strikes(self, moment: Moment, route: str, key: str = "") -> list[Strike]:
        """Return everything that strikes a request at a moment of its way.

        Args:
            moment: The moment.
            route: The request's route.
            key: What the request is about, such as an execution's id.
        """
        met = (injected.meet(key) for injected in self._matching(moment, route))
        return [strike for strike in met if strike is not None]

    def first_strike(self, moment: Moment, route: str) -> Strike | None:
        """Return the first that strikes a request; those after it do not get to see it.

        Args:
            moment: The moment.
            route: The request's route.
        """
        met = (injected.meet("") for injected in self._matching(moment, route))
        return next((strike for strike in met if strike is not None), None)

    def _matching(self, moment: Moment, route: str) -> list[InjectedFault]:
        return [
            injected
            for injected in self._injected
            if injected.fault.spec.moment is moment and injected.fault.strikes_at(route)
        ]
