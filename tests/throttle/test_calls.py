"""The retry loop and the throttle together, thousands of calls in seconds that pass at once."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from typing import Any

import aiohttp
import attrs
import pytest

from tests.throttle.simulation import KINDS
from tests.throttle.virtual import run
from upvest_rebalancing.authentication import TokenSource
from upvest_rebalancing.errors import RequestError
from upvest_rebalancing.last_step import RequestSigner
from upvest_rebalancing.protocol.messages import Request, Response
from upvest_rebalancing.protocol.pacing import Pacing
from upvest_rebalancing.protocol.retries import RetryBudget, RetryPolicy
from upvest_rebalancing.protocol.tokens import Token
from upvest_rebalancing.sandbox.limits import Limit
from upvest_rebalancing.sender import Sender
from upvest_rebalancing.throttle import Throttle
from upvest_rebalancing.transport import Transport

GET = Request(operation="get", method="GET", target="/")
EVERY_KIND = pytest.mark.parametrize("kind", KINDS)


@attrs.define(eq=False, kw_only=True)
class Server(Transport):
    """A limit, and a way there and back."""

    base_url: str = "http://sandbox"
    connections: int = 100
    limit: Limit
    headers: dict[str, str] = attrs.field(factory=dict)
    chance: random.Random = attrs.field(factory=lambda: random.Random(7))
    answers: Counter[int] = attrs.field(factory=Counter)
    under_way: int = 0

    async def send(
        self,
        request: Request,  # noqa: ARG002 - every request is the same here
        *,
        signer: RequestSigner,  # noqa: ARG002 - so is its way
        bearer: str | None,  # noqa: ARG002
        timeout: float,  # noqa: ARG002 - answers are quick
    ) -> Response:
        self.under_way += 1
        assert self.under_way <= self.connections
        try:
            await asyncio.sleep(self.chance.uniform(0.005, 0.02))
            allowed = self.limit.allows(asyncio.get_running_loop().time())
            status = 200 if allowed else 429
            self.answers[status] += 1
            await asyncio.sleep(self.chance.uniform(0.005, 0.02))
        finally:
            self.under_way -= 1
        return Response(status=status, headers=self.headers)


class Unsigned:
    def complete(self, request: aiohttp.ClientRequest) -> None: ...

    async def sign(self, request: aiohttp.ClientRequest) -> str:  # noqa: ARG002 - not read here
        return ""


class World:
    """A sender whose loop's seconds pass at once."""

    def __init__(self, server: Server, limit: float | None, **policy: Any) -> None:
        clock = asyncio.get_running_loop().time
        self.server = server
        self.throttle = Throttle(
            concurrency=server.connections, pacing=Pacing(limit=limit), clock=clock
        )
        self.budget = RetryBudget()
        self.sender = Sender(
            transport=server,
            throttle=self.throttle,
            signing=Unsigned(),
            policy=RetryPolicy(**policy),
            budget=self.budget,
            attempt_timeout=30.0,
            clock=clock,
            sleep=asyncio.sleep,
            jitter=lambda longest: server.chance.uniform(0, longest),
        )
        self.tokens = TokenSource(fetch=self.fetch, clock=clock)
        self.clock = clock

    async def fetch(self) -> Token:
        answer = await self.sender.send(GET)
        return Token(access_token="t", obtained_at=answer.sent_at, lifetime=900.0, scopes=())

    async def get(self) -> None:
        await self.sender.send(GET, self.tokens)

    async def get_all(self, count: int, tasks: int) -> float:
        """Make so many calls from so many tasks, and give the seconds that they took."""
        began, left = self.clock(), iter(range(count))

        async def work() -> None:
            for _ in left:
                await self.get()

        await asyncio.gather(*(work() for _ in range(tasks)))
        assert self.throttle.active == self.throttle.waiting == 0
        return self.clock() - began


@EVERY_KIND
def test_three_thousand_calls_of_one_who_knows_the_limit(kind: str) -> None:
    async def main() -> None:
        world = World(Server(limit=KINDS[kind](300)), 300)
        seconds = await world.get_all(3000, 200)
        assert 3000 / seconds > 0.95 * 300
        assert world.server.answers[429] < 0.02 * 3000

    run(main())


@EVERY_KIND
def test_three_thousand_calls_of_one_who_does_not(kind: str) -> None:
    async def main() -> None:
        world = World(Server(limit=KINDS[kind](300)), None)
        seconds = await world.get_all(3000, 200)
        assert 3000 / seconds > 0.9 * 300
        # Those that were under way when the limit was met, and few more.
        assert world.server.answers[429] < 100 + 0.02 * 3000
        assert world.budget.tokens == world.budget.capacity

    run(main())


def test_retry_after_stops_them_all() -> None:
    async def main() -> None:
        limit = KINDS["fixed"](50)
        world = World(Server(limit=limit, connections=20, headers={"retry-after": "5"}), None)
        await world.get_all(60, 60)
        assert world.clock() > 5
        assert world.server.answers[429] <= 20

    run(main())


def test_a_limit_that_the_server_tells_is_known_from_the_token_on() -> None:
    async def main() -> None:
        headers = {"ratelimit-policy": '"default";q=300;w=1'}
        world = World(Server(limit=KINDS["fixed"](300), headers=headers), None)
        world.throttle.obeys_policies = True
        seconds = await world.get_all(1500, 200)
        assert 1500 / seconds > 0.95 * 300
        assert world.server.answers[429] == 0

    run(main())


def test_a_call_that_gives_up_slows_the_others_down_as_well() -> None:
    class Nothing:
        def allows(self, now: float) -> bool:
            return now > 3

    async def main() -> None:
        world = World(Server(limit=Nothing(), connections=5), None, max_attempts=1)
        world.tokens = TokenSource(fetch=token, clock=world.clock)
        results = await asyncio.gather(*(world.get() for _ in range(30)), return_exceptions=True)
        assert sum(isinstance(result, RequestError) for result in results) <= 15
        assert world.server.answers[200] >= 15

    async def token() -> Token:
        return Token(access_token="t", obtained_at=0.0, lifetime=900.0, scopes=())

    run(main())


def test_the_token_is_fetched_while_thousands_wait() -> None:
    async def main() -> None:
        world = World(Server(limit=KINDS["bucket"](300)), 300)
        world.tokens = TokenSource(fetch=world.fetch, clock=world.clock)
        waiting = asyncio.create_task(world.get_all(3000, 3000))
        await asyncio.sleep(1)
        began = world.clock()
        await world.tokens.renew()
        assert world.clock() - began < 0.1
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert world.throttle.active == world.throttle.waiting == 0

    run(main())
