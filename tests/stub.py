"""A server that says exactly what a test tells it to, byte for byte, over a real socket."""

from __future__ import annotations

import asyncio
import json
import ssl
import struct
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Any, Self, Unpack
from uuid import UUID

import attrs
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from upvest_rebalancing.client import RebalancingClient
from upvest_rebalancing.options import ClientOptions
from upvest_rebalancing.protocol.retries import RetryPolicy
from upvest_rebalancing.settings import Settings

PEM = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
CLIENT_ID = "ebabcf4d-61c3-4942-875c-e265a7c2d062"
SECRET = "stub-client-secret"
TOKEN = "stub-access-token"
EXECUTION = UUID("735381ce-8380-4b07-9e42-97e2b6d3643e")
ACCOUNT = UUID("43801b85-bbcf-41c7-8389-b018082a5ec5")
EXECUTION_JSON = {
    "id": str(EXECUTION),
    "created_at": "2021-07-21T14:10:00.00Z",
    "updated_at": "2021-07-21T14:10:00.00Z",
    "accounts": [str(ACCOUNT)],
}


@attrs.frozen
class Seen:
    """A request as it came over the wire."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes


@attrs.frozen
class Reply:
    """What to write, and what to do with the connection after it."""

    data: bytes = b""
    then: str = "keep"  # keep, close, reset, hang


def answer(value: object = None, status: int = 200, **headers: str) -> Reply:
    """Make a complete HTTP answer: JSON, or bytes as they are."""
    body = value if isinstance(value, bytes) else json.dumps(value).encode()
    names = {"content-type": "application/json", "content-length": str(len(body))}
    names |= {name.replace("_", "-"): text for name, text in headers.items()}
    head = "".join(f"{name}: {text}\r\n" for name, text in names.items())
    return Reply(f"HTTP/1.1 {status} X\r\n{head}\r\n".encode() + body)


def token(lifetime: float = 1799, **more: object) -> Reply:
    """Make the token endpoint's answer."""
    value: dict[str, object] = {"access_token": TOKEN, "expires_in": lifetime}
    return answer(value | {"token_type": "bearer", "scope": "portfolios:admin"} | more)


CLOSE, RESET, HANG = Reply(then="close"), Reply(then="reset"), Reply(then="hang")
TRIGGERED = answer({"id": str(EXECUTION)})


class Stub:
    """Answer API requests from a script, and token requests from another.

    Args:
        replies: Replies to API requests, in turn; the last one stays.
        tokens: Replies to token requests, in turn; the last one stays.
        tls: A server-side TLS context.
    """

    def __init__(
        self,
        replies: Iterable[Reply] | Callable[[Seen], Reply],
        tokens: Iterable[Reply] = (),
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._choose = replies if callable(replies) else self._in_turn(replies)
        self._choose_token = self._in_turn(tokens or [token()])
        self._tls = tls
        self._writers: set[asyncio.StreamWriter] = set()
        self.seen: list[Seen] = []
        self.tokens: list[Seen] = []
        self.connections = 0
        self.arrived = asyncio.Event()

    @staticmethod
    def _in_turn(replies: Iterable[Reply]) -> Callable[[Seen], Reply]:
        left = deque(replies)
        return lambda _: left.popleft() if len(left) > 1 else left[0]

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._tls)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._server.close()
        for writer in set(self._writers):
            writer.transport.abort()
        while self._writers:
            await asyncio.sleep(0)
        await self._server.wait_closed()

    @property
    def port(self) -> int:
        return int(self._server.sockets[0].getsockname()[1])

    @property
    def url(self) -> str:
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        self.connections += 1
        try:
            while True:
                request = await _read(reader)
                if request.target == "/auth/token":
                    self.tokens.append(request)
                    reply = self._choose_token(request)
                else:
                    self.seen.append(request)
                    reply = self._choose(request)
                self.arrived.set()
                writer.write(reply.data)
                await writer.drain()
                if reply.then == "hang":
                    await reader.read()
                if reply.then == "reset":
                    linger = struct.pack("ii", 1, 0)
                    sock = writer.get_extra_info("socket")
                    sock.setsockopt(1, 13, linger)  # SO_LINGER of 0 s: RST in place of FIN.
                    writer.transport.abort()
                if reply.then != "keep":
                    return
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            writer.close()
            self._writers.discard(writer)

    def settings(self, **changes: Any) -> Settings:
        """Give settings for this server."""
        values: dict[str, Any] = {
            "base_url": self.url,
            "key_id": "stub-key",
            "client_id": CLIENT_ID,
            "client_secret": SECRET,
            "private_key": PEM,
        }
        return Settings.from_env(None, environ={}, **(values | changes))

    @asynccontextmanager
    async def client(self, **options: Unpack[ClientOptions]) -> AsyncIterator[RebalancingClient]:
        """Open a client of this server that never waits between attempts."""
        defaults: ClientOptions = {"jitter": lambda _: 0.0, "retry": RetryPolicy(max_attempts=3)}
        merged: ClientOptions = {**defaults, **options}
        async with RebalancingClient(self.settings(), **merged) as client:
            yield client


async def _read(reader: asyncio.StreamReader) -> Seen:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    first, *lines = head.rstrip("\r\n").split("\r\n")
    method, target, _ = first.split(" ")
    pairs = (line.split(": ", 1) for line in lines)
    headers = {name.lower(): value for name, value in pairs}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Seen(method, target, headers, body)
