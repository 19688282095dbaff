"""A local server that behaves as the specification of the rebalancing API says.

It shares no code with the client, so that the two cannot share a mistake.

    async with Sandbox(seed=7, order_seconds=0) as sandbox:
        print(sandbox.url)
        print(sandbox.environment())
        sandbox.inject(Fault("reset-after-work", route="trigger", count=3))
"""

from upvest_rebalancing.sandbox.config import SandboxConfig
from upvest_rebalancing.sandbox.counters import Counters
from upvest_rebalancing.sandbox.credentials import Credentials
from upvest_rebalancing.sandbox.faults import Fault
from upvest_rebalancing.sandbox.kinds import FaultKind
from upvest_rebalancing.sandbox.plan import InjectedFault
from upvest_rebalancing.sandbox.server import Sandbox

__all__ = [
    "Counters",
    "Credentials",
    "Fault",
    "FaultKind",
    "InjectedFault",
    "Sandbox",
    "SandboxConfig",
]
