import json

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer, make_mocked_request
from aiohttp.typedefs import Handler

from upvest_rebalancing.sandbox import SandboxConfig
from upvest_rebalancing.sandbox.app import make_app
from upvest_rebalancing.sandbox.deliveries import Delivery, Manner
from upvest_rebalancing.sandbox.messages import Answer
from upvest_rebalancing.sandbox.service import Service
from upvest_rebalancing.sandbox.wire import Wire


@web.middleware
async def in_between(request: web.Request, handler: Handler) -> web.StreamResponse:
    if request.path == "/gone":
        raise web.HTTPGone(text="from in between")
    if request.path == "/unavailable":
        return web.Response(status=503, text="<html>", content_type="text/html")
    response = await handler(request)
    response.headers["seen"] = "yes"
    return response


async def test_a_middleware_stands_between_the_counters_and_the_service() -> None:
    service = Service(SandboxConfig())
    app = make_app(service, lambda: 0.0, middlewares=[in_between])
    async with TestClient(TestServer(app)) as client:
        answer = await client.get("/_sandbox/health")
        assert answer.headers["seen"] == "yes"
        assert json.loads(await answer.read()) == {"status": "ok"}
        answer = await client.get("/unavailable")
        assert answer.status == 503
        assert "upvest-request-id" in answer.headers
        answer = await client.get("/gone")
        assert answer.status == 410
        assert await answer.text() == "from in between"
    assert service.tally.snapshot().requests == {"unknown": {503: 1}}


async def test_an_expectation_that_is_refused_by_the_server_has_a_date() -> None:
    app = make_app(Service(SandboxConfig(clock_skew=60)), lambda: 0.0)
    async with TestClient(TestServer(app)) as client:
        answer = await client.get("/_sandbox/health", headers={"expect": "the impossible"})
        assert answer.status == 417
        assert answer.headers["date"] == "Thu, 01 Jan 1970 00:01:00 GMT"
        document = json.loads(await answer.read())
        assert document["request_id"] == answer.headers["upvest-request-id"]
        assert "impossible" not in str(document)


@pytest.mark.parametrize("manner", [Manner.RESET, Manner.DISCONNECT])
async def test_a_connection_that_is_gone_already_needs_no_hanging_up(manner: Manner) -> None:
    request = make_mocked_request("GET", "/")
    request._protocol.transport = None
    assert request.transport is None
    response = await Wire().send(request, Delivery(Answer(200, b""), manner))
    assert not response.prepared
