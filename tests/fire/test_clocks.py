"""Clocks that are off, and clocks that jump: no call fails."""

import asyncio
import time
from uuid import uuid4

import pytest

from upvest_rebalancing.client import RebalancingClient
from upvest_rebalancing.sandbox import Sandbox


async def many(client: RebalancingClient, count: int) -> None:
    await asyncio.gather(*(client.trigger(accounts=[uuid4()]) for _ in range(count)))


@pytest.mark.parametrize("skew", [300, -300])
async def test_five_minutes_either_way(skew: float, caplog: pytest.LogCaptureFixture) -> None:
    async with (
        Sandbox(key_type="ed25519", rate_limit=None) as sandbox,
        RebalancingClient.from_env(
            None, environ=sandbox.environment(), now=lambda: time.time() - skew
        ) as client,
    ):
        await many(client, 100)
        assert client.clock_skew == pytest.approx(skew, abs=2)
        # The token request found it out; everything after it was right at the first try.
        assert client.statistics.retries == 1
        assert sandbox.counters().triggers == 100
    assert caplog.text.count("clock") == 1


@pytest.mark.parametrize("jump", [3600, -3600])
@pytest.mark.parametrize("whose", ["ours", "theirs"])
async def test_a_clock_that_jumps_by_an_hour_halfway(jump: float, whose: str) -> None:
    offset = 0.0
    async with (
        Sandbox(key_type="ed25519", rate_limit=None, token_lifetime=86_400) as sandbox,
        RebalancingClient.from_env(
            None, environ=sandbox.environment(), now=lambda: time.time() + offset
        ) as client,
    ):
        await many(client, 50)
        assert client.clock_skew == pytest.approx(0, abs=2)
        if whose == "ours":
            offset = jump
        else:
            sandbox.set_clock_skew(jump)
        await many(client, 50)
        assert abs(client.clock_skew or 0) == pytest.approx(3600, abs=2)
        assert sandbox.counters().triggers == 100


async def test_a_clock_that_is_right_is_left_alone(caplog: pytest.LogCaptureFixture) -> None:
    async with (
        Sandbox(key_type="ed25519", rate_limit=None) as sandbox,
        RebalancingClient.from_env(None, environ=sandbox.environment()) as client,
    ):
        assert client.clock_skew is None
        await many(client, 20)
        assert client.clock_skew == pytest.approx(0, abs=2)
        assert client.statistics.retries == 0
    assert "clock" not in caplog.text
