"""Calls to a sandbox whose answers are looked at byte by byte."""

import asyncio
import urllib.parse
from dataclasses import dataclass
from typing import Any

import yarl

from tests.sandbox.conftest import Api, Reply


@dataclass(frozen=True)
class Exchange:
    """An open connection on which a request was sent."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def everything(self) -> bytes:
        """Read until the connection ends."""
        try:
            return await self.reader.read()
        finally:
            self.writer.close()


class RawApi(Api):
    """Calls that are signed as always, each over a connection of its own."""

    version = "1.1"

    async def send(
        self, method: str, target: str, headers: dict[str, str], body: Any = b""
    ) -> Reply:
        exchange = await self.begin(method, target, headers, body)
        head, _, rest = (await exchange.everything()).partition(b"\r\n\r\n")
        if not head:
            raise EOFError
        status_line, *lines = head.decode("latin-1").split("\r\n")
        pairs = (line.partition(": ") for line in lines)
        fields = {name.lower(): value for name, _, value in pairs}
        return Reply(int(status_line.split()[1]), fields, rest)

    async def begin(
        self, method: str, target: str, headers: dict[str, str], body: bytes = b""
    ) -> Exchange:
        url = urllib.parse.urlsplit(self.sandbox.url)
        reader, writer = await asyncio.open_connection(url.hostname, url.port)
        lines = [
            f"{method} {yarl.URL(target, encoded=True)} HTTP/{self.version}",
            f"host: {url.netloc}",
            "connection: close",
            *(f"{name}: {value}" for name, value in headers.items()),
        ]
        writer.write("\r\n".join([*lines, "", ""]).encode("latin-1") + body)
        return Exchange(reader, writer)


def dechunked(data: bytes) -> tuple[bytes, bool]:
    """Return a chunked body's content, and whether its last chunk came."""
    content = b""
    while data:
        size, _, rest = data.partition(b"\r\n")
        length = int(size, 16)
        content += rest[:length]
        data = rest[length + 2 :]
        if not length:
            return content, True
    return content, False
