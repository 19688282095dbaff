import json

from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from aiohttp.typedefs import Handler

from upvest_rebalancing.sandbox import SandboxConfig
from upvest_rebalancing.sandbox.app import make_app
from upvest_rebalancing.sandbox.service import Service


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
