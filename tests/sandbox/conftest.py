import json
import urllib.parse
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from typing import Any

import aiohttp
import pytest
import yarl
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from tests.sandbox.signer import PrivateKey, Style, digest, sign
from upvest_rebalancing.sandbox import Sandbox

EXECUTIONS = "/portfolios/rebalancings/executions"
START = 1_700_000_000.0


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> float:
        return self.now


@dataclass(frozen=True)
class Reply:
    status: int
    headers: Any
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)

    def problem(self, status: int, type_: str) -> str:
        """Check that this is a problem document, and return its detail."""
        assert self.status == status, self.body
        assert self.headers["content-type"] == "application/problem+json"
        document = self.json()
        assert document["status"] == status
        assert document["type"] == type_
        assert document["title"]
        assert document["request_id"] == self.headers["upvest-request-id"]
        assert str(uuid.UUID(document["request_id"])) == document["request_id"]
        detail = document["detail"]
        assert isinstance(detail, str)
        return detail


class Api:
    """Calls to a sandbox, each signed by the tests' own signer."""

    def __init__(self, session: aiohttp.ClientSession, sandbox: Sandbox, clock: Clock) -> None:
        self.session = session
        self.sandbox = sandbox
        self.clock = clock
        credentials = sandbox.credentials
        self.key: PrivateKey = load_pem_private_key(  # type: ignore[assignment]
            credentials.private_key_pem, credentials.passphrase
        )
        self.client_id = credentials.client_id
        self.client_secret = credentials.client_secret
        self.style = Style(key_id=credentials.key_id)
        self.token: str | None = None

    async def send(
        self, method: str, target: str, headers: dict[str, str], body: Any = b""
    ) -> Reply:
        async with self.session.request(
            method,
            yarl.URL(self.sandbox.url + target, encoded=True),
            headers=headers,
            data=body or None,
            skip_auto_headers=("Accept", "Content-Type", "User-Agent"),
            allow_redirects=False,
        ) as response:
            return Reply(response.status, response.headers, await response.read())

    async def call(
        self,
        method: str,
        target: str,
        body: bytes = b"",
        *,
        headers: Mapping[str, str | None] | None = None,
        sent: dict[str, str] | None = None,
        sent_target: str | None = None,
        sent_body: Any = None,
        **style: Any,
    ) -> Reply:
        """Sign and send; `headers` are signed too, `sent` only sent."""
        all_headers: dict[str, str | None] = {
            "accept": "application/json",
            "upvest-client-id": self.client_id,
            "upvest-api-version": "1",
            "upvest-signature-version": "15",
        }
        if self.token is not None and target != "/auth/token":
            all_headers["authorization"] = f"Bearer {self.token}"
        if body:
            all_headers |= {
                "content-type": "application/json",
                "content-length": str(len(body)),
                "content-digest": digest(body),
            }
        all_headers |= headers or {}
        present = {name: value for name, value in all_headers.items() if value is not None}
        used = replace(self.style, created=int(self.clock.now))
        used = replace(used, **style)
        present |= sign(self.key, method, target, present, used)
        present |= sent or {}
        return await self.send(
            method, sent_target or target, present, body if sent_body is None else sent_body
        )

    async def get(self, target: str, **options: Any) -> Reply:
        return await self.call("GET", target, **options)

    async def ask_token(self, form: dict[str, str] | str | None = None, **options: Any) -> Reply:
        values = {
            "client_id": self.client_id,
            "client_secret": self.client_secret,
            "grant_type": "client_credentials",
            "scope": " ".join(self.sandbox.credentials.scopes),
        }
        if isinstance(form, dict):
            values |= form
        text = form if isinstance(form, str) else urllib.parse.urlencode(values)
        headers = {"content-type": "application/x-www-form-urlencoded"}
        headers |= options.pop("headers", {})
        return await self.call("POST", "/auth/token", text.encode(), headers=headers, **options)

    async def log_in(self, scope: str | None = None) -> None:
        reply = await self.ask_token({"scope": scope} if scope else None)
        assert reply.status == 200, reply.body
        self.token = reply.json()["access_token"]

    async def trigger(self, body: object, key: str | None = None, **options: Any) -> Reply:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = {"idempotency-key": key or str(uuid.uuid4())}
        headers |= options.pop("headers", {})
        return await self.call("POST", EXECUTIONS, content, headers=headers, **options)

    async def triggered(self, count: int) -> str:
        reply = await self.trigger({"accounts": accounts(count)})
        assert reply.status == 200, reply.body
        identifier = reply.json()["id"]
        assert isinstance(identifier, str)
        return identifier


def accounts(count: int) -> list[str]:
    return [str(uuid.UUID(int=number, version=4)) for number in range(1, count + 1)]


@pytest.fixture
def clock() -> Clock:
    return Clock()


MakeApi = Callable[..., Awaitable[Api]]


@pytest.fixture
async def make_api(clock: Clock) -> AsyncIterator[MakeApi]:
    """Start a sandbox with some settings, and return calls to it."""
    async with AsyncExitStack() as stack:

        async def make(**settings: Any) -> Api:
            sandbox = await stack.enter_async_context(Sandbox(clock=clock, **settings))
            session = await stack.enter_async_context(aiohttp.ClientSession())
            return Api(session, sandbox, clock)

        yield make


@pytest.fixture
async def api(make_api: MakeApi) -> Api:
    """Calls to a sandbox with the default settings, with a token."""
    made = await make_api()
    await made.log_in()
    return made
