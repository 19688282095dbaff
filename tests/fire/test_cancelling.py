"""Tasks cancelled at any moment: nothing leaks, and the key of a cancelled trigger is known."""

import asyncio
import random
from uuid import uuid4

import aiohttp

from tests.fire.scale import SCALE
from upvest_rebalancing.client import RebalancingClient
from upvest_rebalancing.events import AttemptEvent, AttemptFinished, AttemptStarted
from upvest_rebalancing.sandbox import Fault, FaultKind, Sandbox

MOMENTS = 500 * SCALE


async def test_five_hundred_random_moments() -> None:
    chance = random.Random(2026)
    events: list[AttemptEvent] = []
    slow = Fault(FaultKind.SLOW, seconds=0.01, value=3, probability=0.5)
    async with (
        Sandbox(
            key_type="ed25519", rate_limit=None, token_lifetime=1, faults=(slow,), order_seconds=0
        ) as sandbox,
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=10)) as session,
        RebalancingClient.from_env(
            None,
            environ=sandbox.environment(),
            session=session,
            concurrency=10,
            on_attempt=events.append,
        ) as client,
    ):

        async def one() -> bool:
            """Begin a trigger, cancel it at some moment, and tell whether that came in time."""
            task = asyncio.create_task(client.trigger(accounts=[uuid4()]))
            # Some moments are counted in steps of the loop, to hit every await there is.
            if chance.random() < 0.5:
                for _ in range(chance.randrange(12)):
                    await asyncio.sleep(0)
            else:
                await asyncio.sleep(chance.random() * 0.02)
            task.cancel()
            (result,) = await asyncio.gather(task, return_exceptions=True)
            assert not isinstance(result, Exception), result
            return isinstance(result, asyncio.CancelledError)

        cancelled = 0
        for _ in range(100 * SCALE):
            cancelled += sum(await asyncio.gather(*(one() for _ in range(25))))
            await client.trigger(accounts=[uuid4()])
            if cancelled >= MOMENTS:
                break
        assert cancelled >= MOMENTS
        connector = session.connector
        assert connector is not None
        assert not connector._acquired
        counters = sandbox.counters()

    started = [e for e in events if isinstance(e, AttemptStarted) and e.operation == "trigger"]
    ended = [e for e in events if isinstance(e, AttemptFinished) and e.operation == "trigger"]
    # Every attempt that began is told to have ended, and every key that was done was told before.
    assert len(started) == len(ended)
    assert counters.triggers <= len({event.idempotency_key for event in started})
    firsts = [event.idempotency_key for event in started if event.number == 1]
    assert len(firsts) == len(set(firsts))
    assert None not in firsts
