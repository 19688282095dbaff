"""A local server that behaves as the specification of the rebalancing API says.

It shares no code with the client, so that the two cannot share a mistake.

    async with Sandbox(seed=7, order_seconds=0) as sandbox:
        print(sandbox.url)
        print(sandbox.environment())
"""

from upvest_rebalancing.sandbox.config import SandboxConfig
from upvest_rebalancing.sandbox.counters import Counters
from upvest_rebalancing.sandbox.credentials import Credentials
from upvest_rebalancing.sandbox.server import Sandbox

__all__ = ["Counters", "Credentials", "Sandbox", "SandboxConfig"]
