"""The controller finds a limit that it was not told, holds it, follows it, and shares it."""

from __future__ import annotations

import random

import attrs
import pytest

from tests.throttle.simulation import KINDS, Client, World, fairness, stalls
from upvest_rebalancing.protocol.pacing import Pacing
from upvest_rebalancing.sandbox.limits import Limit

EVERY_KIND = pytest.mark.parametrize("kind", KINDS)


@attrs.frozen
class Meanwhile:
    """A limit that is another one for a while; None for a server that is down then."""

    usual: Limit
    other: Limit | None
    start: float
    end: float

    def allows(self, now: float) -> bool:
        limit = self.other if self.start <= now < self.end else self.usual
        return limit is not None and limit.allows(now)


def steady(world: World, limit: int, start: float, end: float) -> tuple[float, float]:
    """Give the share of the limit that was used, and the share of the answers that were 429."""
    accepted = sum(client.count(200, start, end) for client in world.clients)
    refused = sum(client.count(429, start, end) for client in world.clients)
    return accepted / (limit * (end - start)), refused / (accepted + refused)


@EVERY_KIND
@pytest.mark.parametrize(
    ("limit", "most_refused"), [(10, 0.05), (50, 0.02), (300, 0.01), (2000, 0.01)]
)
def test_a_limit_that_nobody_told_is_found_and_held(
    kind: str, limit: int, most_refused: float
) -> None:
    end = 25 if limit > 1000 else 70
    server = KINDS[kind](limit)
    world = World([Client(starts=0.37)], server)
    world.run(end)
    used, refused = steady(world, limit, 10, end)
    assert used > 0.9
    assert refused < most_refused


@EVERY_KIND
@pytest.mark.parametrize("latency", [(0.001, 0.002), (0.05, 0.15)])
@pytest.mark.parametrize("seed", range(3))
def test_it_is_held_over_any_way(kind: str, latency: tuple[float, float], seed: int) -> None:
    server = KINDS[kind](300)
    world = World([Client(starts=0.61)], server, latency, random.Random(seed))
    world.run(40)
    used, refused = steady(world, 300, 10, 40)
    assert used > 0.88
    assert refused < 0.02


@EVERY_KIND
@pytest.mark.parametrize("seed", range(3))
def test_a_limit_that_was_told_is_used_without_refusals(kind: str, seed: int) -> None:
    server = KINDS[kind](300)
    client = Client(Pacing(limit=300), starts=0.37)
    world = World([client], server, (0.005, 0.02), random.Random(seed))
    world.run(20)
    assert client.count(429) == 0
    assert client.count(200, 1, 20) > 0.98 * 300 * 19


@EVERY_KIND
@pytest.mark.parametrize(
    ("lateness", "longest_stall", "least"),
    [
        (0.0, 0.0, 0.98),
        (0.02, 0.0, 0.98),
        (0.0, 0.02, 0.98),
        (0.02, 0.02, 0.98),
        (0.0, 0.05, 0.98),
        (0.0, 0.1, 0.95),
    ],
)
@pytest.mark.parametrize("seed", range(3))
def test_who_is_late_makes_up_for_it_and_never_goes_beyond_the_limit(
    kind: str, lateness: float, longest_stall: float, least: float, seed: int
) -> None:
    chance = random.Random(seed)
    client = Client(
        Pacing(limit=300),
        starts=0.37,
        lateness=lateness,
        stalls=stalls(chance, (0.1, 0.5), (longest_stall / 2, longest_stall), 20),
    )
    # No more than the margin lies between the shortest way and the longest.
    World([client], KINDS[kind](300), (0.002, 0.011), chance).run(20)
    assert client.count(429) == 0
    assert client.count(200, 0.4, 8.4) > least * 300 * 8
    assert client.count(200, 1, 20) > least * 300 * 19


@EVERY_KIND
def test_before_the_first_refusal_nothing_is_held_back(kind: str) -> None:
    server = KINDS[kind](10_000)
    client = Client(concurrency=20)
    world = World([client], server, (0.01, 0.01))
    world.run(5)
    assert client.count(429) == 0
    assert len(client.sent) == pytest.approx(20 * 250, abs=20)


@EVERY_KIND
def test_the_cost_of_finding_out_is_bounded_by_the_connections(kind: str) -> None:
    server = KINDS[kind](300)
    client = Client(starts=0.1, concurrency=100)
    World([client], server).run(3)
    assert client.count(429) <= 110


@EVERY_KIND
def test_a_limit_is_followed_down_and_up(kind: str) -> None:
    high, low = KINDS[kind](300), KINDS[kind](100)
    client = Client(starts=0.2)
    World([client], Meanwhile(high, low, 20, 40)).run(70)
    assert client.count(200, 10, 20) > 0.9 * 3000
    # Within four seconds it is down, and holds.
    assert client.count(429, 24, 40) < 0.03 * 1600
    assert client.count(200, 24, 40) > 0.9 * 1600
    # Within fifteen it is up again.
    assert client.count(200, 55, 70) > 0.9 * 4500
    assert client.count(429, 40, 70) < 0.02 * 9000


@EVERY_KIND
@pytest.mark.parametrize("limit", [None, 300])
@pytest.mark.parametrize("seed", range(2))
def test_clients_that_know_nothing_of_each_other_share_fairly(
    kind: str, limit: int | None, seed: int
) -> None:
    server = KINDS[kind](300)
    clients = [Client(Pacing(limit=limit), starts=4.0 * number) for number in range(4)]
    world = World(clients, server, chance=random.Random(seed))
    world.run(90)
    used, refused = steady(world, 300, 30, 90)
    assert used > 0.9
    assert refused < 0.02
    assert fairness([client.count(200, 30, 90) for client in clients]) > 0.85


@EVERY_KIND
def test_what_one_client_leaves_the_others_take(kind: str) -> None:
    server = KINDS[kind](300)
    clients = [Client(), Client(ends=20), Client(starts=1.0, ends=20)]
    world = World(clients, server)
    world.run(50)
    assert steady(world, 300, 35, 50)[0] > 0.9
    assert clients[0].count(200, 35, 50) > 0.9 * 4500


def test_an_outage_is_asked_after_rarely_and_ends_by_itself() -> None:
    client = Client(Pacing(limit=300))
    World([client], Meanwhile(KINDS["fixed"](10_000), None, 10, 40)).run(80)
    assert client.count(429, 10, 40) < 40
    assert client.count(200, 65, 80) > 0.97 * 4400
