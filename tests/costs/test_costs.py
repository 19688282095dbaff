"""What a request, an order and a look may cost, in figures that are the same on every machine.

Seconds are measured in ``benchmarks/``. The bounds here lie about a tenth above what was counted
when they were set, so that a change which costs more than that has to say so here.
"""

from __future__ import annotations

import json
import random
import uuid
from typing import Any

import pytest

from tests.costs.counting import Allocations, Instructions
from tests.stub import EXECUTION, EXECUTION_JSON, PEM, Stub, answer
from upvest_rebalancing.models import ExecutionOrder, Page, PageMeta
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
    assert instructions.count < 420


@pytest.mark.parametrize("pace", [None, 1e6])
async def test_a_signed_get(pace: float | None) -> None:
    async with Stub(lambda _: answer(EXECUTION_JSON)) as stub:
        async with stub.client(requests_per_second=pace) as client:
            await client.execution(EXECUTION)
            with Instructions() as instructions:
                for _ in range(CALLS):
                    await client.execution(EXECUTION)
    assert instructions.count / CALLS < 2000


def test_reading_a_page() -> None:
    answered = response(page())
    decode_page(answered)
    with Instructions() as instructions:
        decode_page(answered)
    assert instructions.count / ROWS < 40
    with Allocations() as allocations:
        kept = decode_page(answered)
    assert len(kept.data) == ROWS
    assert allocations.kept / ROWS < 1100
    assert allocations.peak / ROWS < 1300


async def test_walking() -> None:
    pages, total = 30, 30_000
    template: Page = decode_page(response(page()))

    async def read(offset: int, limit: int) -> Page:
        chance = random.Random(offset)
        rows = template.data[: max(0, min(limit, total - offset))]
        data = tuple(
            ExecutionOrder(
                id=uuid.UUID(int=chance.getrandbits(128), version=4),
                execution_id=row.execution_id,
                account_id=row.account_id,
                status=row.status,
                created_at=row.created_at,
                updated_at=row.updated_at,
            )
            for row in rows
        )
        meta = PageMeta(offset=offset, limit=limit, count=len(data), total_count=total)
        return Page(meta=meta, data=data)

    read_by_hand = 0
    walk = OrderWalk(fetch=read, read=lambda page: page, page_size=ROWS)
    with Allocations() as allocations:
        async for _ in walk:
            read_by_hand += 1
    assert walk.verdict.complete
    assert read_by_hand == total
    # The ids of all orders, and the orders of the pages that are read ahead.
    assert allocations.peak / total < 150, pages
