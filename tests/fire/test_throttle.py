"""Three thousand calls against a limit of 300 per second, over real sockets."""

import asyncio
import time
from uuid import uuid4

from tests.fire.scale import SCALE
from upvest_rebalancing.client import RebalancingClient
from upvest_rebalancing.sandbox import Sandbox

LIMIT, CALLS, TASKS = 300, 3000 * SCALE, 200


async def test_three_thousand_gets_from_two_hundred_tasks() -> None:
    """No call fails, hardly any is refused, and the limit is never passed.

    How much of the limit is used is shown by the throttle's own tests in virtual time: here it
    would measure the machine.
    """
    async with (
        Sandbox(key_type="ed25519", rate_limit=LIMIT, order_seconds=0) as sandbox,
        RebalancingClient.from_env(None, environ=sandbox.environment()) as client,
    ):
        triggered = await client.trigger(accounts=[uuid4()])
        left = iter(range(CALLS))

        async def work() -> None:
            for _ in left:
                await client.execution(triggered.id)

        began = time.monotonic()
        async with asyncio.TaskGroup() as tasks:
            for _ in range(TASKS):
                tasks.create_task(work())
        elapsed = time.monotonic() - began
        answers = sandbox.counters().answers
    assert answers[200] == CALLS + 2
    assert answers.get(429, 0) < 0.02 * CALLS
    assert answers[200] <= LIMIT * (elapsed + 2)
