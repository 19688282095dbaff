"""A world of events: clients that pace themselves, a way between, a server with a limit."""

from __future__ import annotations

import bisect
import heapq
import itertools
import random
from collections.abc import Sequence
from typing import Literal, TypeAlias

import attrs

from upvest_rebalancing.protocol.pacing import Pacing
from upvest_rebalancing.sandbox.limits import FixedWindow, Limit, SlidingWindow, TokenBucket

KINDS: dict[str, type[FixedWindow | SlidingWindow | TokenBucket]] = {
    "fixed": FixedWindow,
    "sliding": SlidingWindow,
    "bucket": TokenBucket,
}

_Event: TypeAlias = "tuple[float, int, Literal['look', 'arrive', 200, 429], Client, float]"


@attrs.define(eq=False)
class Client:
    """One that always has more to send.

    Attributes:
        pacing: What is tested.
        starts: When it begins, in seconds.
        ends: When it stops to send.
        concurrency: Requests under way at the most.
        lateness: Seconds by which each of its timers may go off late.
        stalls: When it does nothing at all, from and to, in seconds and in order: something else
            has its event loop, or its processor.
    """

    pacing: Pacing = attrs.field(factory=Pacing)
    starts: float = 0.0
    ends: float = float("inf")
    concurrency: int = 100
    lateness: float = 0.0
    stalls: Sequence[tuple[float, float]] = ()
    active: int = 0
    planned: float = float("inf")
    sent: list[float] = attrs.field(factory=list)
    answers: dict[int, list[float]] = attrs.field(factory=lambda: {200: [], 429: []})

    def awake(self, at: float) -> float:
        """Give the time at which it sees what happens at a time."""
        before = bisect.bisect(self.stalls, (at, float("inf")))
        return max(at, self.stalls[before - 1][1]) if before else at

    def count(self, status: int, start: float = 0.0, end: float = float("inf")) -> int:
        return sum(start <= at < end for at in self.answers[status])


@attrs.define(eq=False)
class World:
    """Clients, and a server with a limit for all of them."""

    clients: Sequence[Client]
    limit: Limit
    latency: tuple[float, float] = (0.005, 0.03)
    chance: random.Random = attrs.field(factory=lambda: random.Random(1))
    events: list[_Event] = attrs.field(factory=list)
    numbers: itertools.count[int] = attrs.field(factory=itertools.count)

    def run(self, seconds: float) -> None:
        for client in self.clients:
            self._plan(client.starts, "look", client)
        while self.events and self.events[0][0] < seconds:
            now, _, kind, client, sent_at = heapq.heappop(self.events)
            if kind == "arrive":
                status: Literal[200, 429] = 200 if self.limit.allows(now) else 429
                self._plan(now + self._trip(), status, client, sent_at)
                continue
            if kind != "look":
                client.active -= 1
                client.answers[kind].append(now)
                client.pacing.answered(now, kind, sent_at=sent_at)
            self._send(client, now)

    def _trip(self) -> float:
        return self.chance.uniform(*self.latency)

    def _plan(
        self,
        when: float,
        kind: Literal["look", "arrive", 200, 429],
        client: Client,
        sent_at: float = 0.0,
    ) -> None:
        if kind != "arrive":
            when = client.awake(when)
        heapq.heappush(self.events, (when, next(self.numbers), kind, client, sent_at))

    def _send(self, client: Client, now: float) -> None:
        """Send all that may go, and plan a look at the time when the next one may."""
        while client.starts <= now < client.ends and client.active < client.concurrency:
            seconds = client.pacing.delay(now)
            if seconds > 0:
                if now + seconds < client.planned or client.planned <= now:
                    client.planned = now + max(seconds, 1e-6)
                    late = self.chance.uniform(0, client.lateness) if client.lateness else 0.0
                    self._plan(client.planned + late, "look", client)
                return
            client.pacing.take(now)
            client.active += 1
            client.sent.append(now)
            self._plan(now + self._trip(), "arrive", client, now)


def stalls(
    chance: random.Random, apart: tuple[float, float], lengths: tuple[float, float], seconds: float
) -> list[tuple[float, float]]:
    """Draw stalls for so many seconds, from how far they are apart and how long they are."""
    drawn, end = list[tuple[float, float]](), 0.0
    while end < seconds:
        start = end + chance.uniform(*apart)
        end = start + chance.uniform(*lengths)
        drawn.append((start, end))
    return drawn


def fairness(shares: Sequence[float]) -> float:
    """Jain's index (DEC-TR-301, 1984): 1 where all are equal, 1/n where one has all."""
    return sum(shares) ** 2 / (len(shares) * sum(share**2 for share in shares))
