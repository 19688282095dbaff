"""What cannot be read is answered and counted, and nothing of it is said anywhere."""

import asyncio
import json
import logging
import urllib.parse

import pytest
from aiohttp.test_utils import make_mocked_request

from tests.sandbox.conftest import Api
from upvest_rebalancing.sandbox import Sandbox
from upvest_rebalancing.sandbox.app import make_refuse
from upvest_rebalancing.sandbox.config import SandboxConfig
from upvest_rebalancing.sandbox.doorway import Unread, _logger
from upvest_rebalancing.sandbox.service import Service

SECRET = "t0psecret-t0psecret"


async def exchange(sandbox: Sandbox, data: bytes) -> tuple[int, dict[str, str], bytes]:
    url = urllib.parse.urlsplit(sandbox.url)
    reader, writer = await asyncio.open_connection(url.hostname, url.port)
    writer.write(data)
    async with asyncio.timeout(20):
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    status, *lines = head.decode().split("\r\n")
    pairs = (line.partition(": ") for line in lines)
    return int(status.split()[1]), {name.lower(): value for name, _, value in pairs}, body


@pytest.mark.parametrize(
    ("data", "status", "route"),
    [
        (f"GET /auth/token HTTP/1.1\r\nbearer {SECRET}\r\n\r\n", 400, "unknown"),
        (
            f"GET /auth/token HTTP/1.1\r\nhost: x\r\n a{SECRET}\x01: {SECRET}\r\n\r\n",
            400,
            "unknown",
        ),
        (f"client_secret={SECRET} and more\r\n\r\n", 400, "unknown"),
        (f"GET http://[{SECRET} HTTP/1.1\r\nhost: x\r\n\r\n", 400, "unknown"),
        (f"GET /{SECRET * 9000} HTTP/1.1\r\nhost: x\r\n\r\n", 400, "unknown"),
        (f"BREW /auth/token?a={SECRET} HTTP/1.1\r\nhost: x\r\n\r\n", 405, "token"),
        (f"BREW /nowhere/{SECRET} HTTP/1.1\r\nhost: x\r\n\r\n", 404, "unknown"),
        (
            f"GET /auth/token HTTP/1.1\r\nhost: x\r\nconnection: close\r\nexpect: {SECRET}\r\n\r\n",
            417,
            "token",
        ),
    ],
)
async def test_an_unreadable_request_is_refused_without_its_words(
    data: str, status: int, route: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with Sandbox() as sandbox:
        found, headers, body = await exchange(sandbox, data.encode("latin-1"))
        assert found == status
        assert headers["content-type"] == "application/problem+json"
        assert headers.get("allow") == ("POST" if status == 405 else None)
        assert headers["ratelimit-policy"]
        document = json.loads(body)
        assert document["status"] == status
        assert document["request_id"] == headers["upvest-request-id"]
        assert SECRET not in body.decode() + str(headers) + caplog.text
        assert not [record for record in caplog.records if record.name.startswith("aiohttp")]
        assert sandbox.counters().requests == {route: {status: 1}}


async def test_long_lines_and_fields_are_read(api: Api) -> None:
    long = "a" * 60_000
    (await api.send("GET", f"/{long}", {})).problem(404, "not_found")
    reply = await api.send("GET", "/auth/verify_keys", {"authorization": f"Bearer {long}"})
    assert reply.status == 406


async def test_100_continue_is_answered() -> None:
    async with Sandbox() as sandbox:
        head = "GET /_sandbox/health HTTP/{}\r\nhost: x\r\nconnection: close\r\n"
        data = f"{head.format('1.1')}expect: 100-Continue\r\n\r\n".encode()
        status, _, rest = await exchange(sandbox, data)
        assert status == 100
        assert rest.startswith(b"HTTP/1.1 200 ")
        data = f"{head.format('1.0')}expect: nothing\r\n\r\n".encode()
        assert (await exchange(sandbox, data))[0] == 200


def test_a_failure_of_the_server_itself_is_a_500() -> None:
    service = Service(SandboxConfig())
    response = make_refuse(service, lambda: 0.0)(Unread(500, KeyError(SECRET)))
    assert response.status == 500
    assert service.tally.snapshot().requests == {"unknown": {500: 1}}


async def test_what_has_begun_is_not_answered_again() -> None:
    async with Sandbox() as sandbox:
        assert sandbox._runner is not None
        server = sandbox._runner.server
        assert server is not None
        connection = server()
        request = make_mocked_request("GET", "/")
        request.writer.output_size = 1
        with pytest.raises(ConnectionError):
            connection.handle_error(request, 400)


def test_the_log_has_the_type_of_an_exception_alone(caplog: pytest.LogCaptureFixture) -> None:
    _logger().error("Unhandled %s", "exception", exc_info=ValueError(SECRET))
    assert SECRET not in caplog.text
    assert caplog.messages == ["Unhandled exception: ValueError"]
