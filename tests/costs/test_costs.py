"""What a request, an order and a look may cost, in figures that are the same on every machine.

Seconds are measured in ``benchmarks/``. The bounds here lie about a tenth above what was counted
when they were set, so that a change which costs more than that has to say so here.
"""

from __future__ import annotations

import json
import logging
import random
import uuid
from typing import Any

import pytest

from tests.costs.counting import Allocations, Instructions
from tests.stub import EXECUTION, EXECUTION_JSON, PEM, Stub, answer
from upvest_rebalancing.protocol import endpoints
from upvest_rebalancing.protocol.codec import decode_page
from upvest_rebalancing.protocol.keys import load_private_key
from upvest_rebalancing.protocol.messages import Response
from upvest_rebalancing.protocol.signatures import Signer
from upvest_rebalancing.walking import OrderWalk

CALLS = 20
ROWS = 1000
TIME = "2021-07-21T14:10:00.000Z"


def uuids(chance: random.Random, count: int) -> list[str]:
    return [str(uuid.UUID(int=chance.getrandbits(128), version=4)) for _ in range(count)]


def page(offset: int = 0, total: int = ROWS, rows: int = ROWS) -> bytes:
    chance = random.Random(offset)
    orders: list[dict[str, Any]] = [
        {
            "id": order,
            "execution_id": str(EXECUTION),
            "account_id": account,
            "portfolio_order_id": None,
            "status": "FILLED",
            "created_at": TIME,
            "updated_at": TIME,
        }
        for order, account in zip(uuids(chance, rows), uuids(chance, rows), strict=True)
    ]
    meta = {"offset": offset, "limit": ROWS, "count": rows, "total_count": total}
    return json.dumps({"meta": meta, "data": orders}).encode()


def response(body: bytes) -> Response:
    return Response(status=200, headers={"content-type": "application/json"}, body=body)


def hold(count: float, *, at_most: float) -> None:
    """Hold a count to its bound; one far below it has not counted, or asks for a new bound."""
    assert at_most / 2 < count <= at_most


def test_building_and_signing_a_get() -> None:
    signer = Signer(key=load_private_key(PEM), keyid=str(uuid.uuid4()))

    def sign() -> None:
        request = endpoints.orders(client_id="c", execution_id=EXECUTION, offset=1000, limit=1000)
        headers = {**request.headers, "authorization": "Bearer t"}
        signer.sign(
            method=request.method, target=request.target, headers=headers, nonce="n", created=1
        )

    sign()
    with Instructions() as instructions:
        sign()
    hold(instructions.count, at_most=480)


@pytest.mark.parametrize("pace", [None, 1e6])
async def test_a_signed_get(pace: float | None, caplog: pytest.LogCaptureFixture) -> None:
    # Whoever wants every attempt logged pays for it, and a test before may have wanted it.
    caplog.set_level(logging.WARNING, logger="upvest_rebalancing")
    async with Stub(lambda _: answer(EXECUTION_JSON)) as stub:
        async with stub.client(requests_per_second=pace) as client:
            await client.execution(EXECUTION)
            with Instructions() as instructions:
                for _ in range(CALLS):
                    await client.execution(EXECUTION)
    hold(instructions.count / CALLS, at_most=2050)


def test_reading_a_page() -> None:
    answered = response(page())
    decode_page(answered)
    with Instructions() as instructions:
        decode_page(answered)
    hold(instructions.count / ROWS, at_most=25)
    with Allocations() as allocations:
        kept = decode_page(answered)
    assert len(kept.data) == ROWS
    hold(allocations.kept / ROWS, at_most=970)
    hold(allocations.peak / ROWS, at_most=1040)


async def test_walking() -> None:
    total = 30 * ROWS
    bodies = {offset: page(offset, total) for offset in range(0, total, ROWS)}
    bodies[total] = page(total, total, rows=0)

    async def fetch(offset: int, _limit: int) -> Response:
        return response(bodies[offset])

    async def walk_on() -> None:
        walk = OrderWalk(fetch=fetch, read=decode_page, page_size=ROWS)
        assert sum([1 async for _ in walk]) == total
        assert walk.verdict.complete

    with Instructions() as instructions:
        await walk_on()
    hold(instructions.count / total, at_most=100)
    with Allocations() as allocations:
        await walk_on()
    # The ids of all orders, and the orders of one page.
    hold(allocations.peak / total, at_most=75)
