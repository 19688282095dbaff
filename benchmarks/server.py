"""The server behind the request rows: fixed bytes, as fast as plain sockets allow.

It checks nothing and parses next to nothing, so that it is not what is measured; it counts its own
processor time, so that the report can say where it was the bottleneck all the same. It runs as a
process of its own, prints its port, and ends when its standard input does: it can't outlive the
benchmark that started it.

    python -m benchmarks.server --latency 0.05
"""

from __future__ import annotations

import argparse
import functools
import heapq
import json
import re
import selectors
import socket
import sys
import time
from email.utils import formatdate
from typing import Final

import attrs

from benchmarks import pages
from benchmarks.shelf import Shelf

USAGE_PATH: Final = "/usage"
"""Where it tells its processor time; whoever asks is not kept waiting by the latency."""

_END: Final = b"\r\n\r\n"
_CHUNK: Final = 65536
_BUFFER: Final = 1 << 20
_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
_ORDERS = re.compile(rb"executions/([0-9a-f-]{36})/orders\?(\S*)")
_EXECUTION = re.compile(rb"executions/([0-9a-f-]{36}) ")
_OFFSET = re.compile(rb"offset=(\d+)")
_LIMIT = re.compile(rb"limit=(\d+)")


@attrs.define(eq=False)
class Peer:
    """One connection: what came and is no whole request yet, what is still to be written."""

    connection: socket.socket
    is_open: bool = True
    received: bytearray = attrs.field(factory=bytearray)
    pending: bytearray = attrs.field(factory=bytearray)


@attrs.define(eq=False)
class Server:
    """Answer requests on any number of connections, in one thread.

    Attributes:
        latency: Seconds that each answer waits, without keeping others waiting.
    """

    latency: float
    _selector: selectors.BaseSelector = attrs.field(factory=selectors.DefaultSelector, init=False)
    _listener: socket.socket = attrs.field(init=False)
    _due: list[tuple[float, int, Peer, bytes]] = attrs.field(factory=list, init=False)
    _shelf: Shelf = attrs.field(factory=Shelf, init=False)
    _requests: int = attrs.field(default=0, init=False)

    def __attrs_post_init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self._listener.settimeout(0)

    @property
    def port(self) -> int:
        """The port that it listens at."""
        return int(self._listener.getsockname()[1])

    def serve(self) -> None:
        """Serve until standard input ends."""
        self._selector.register(self._listener, selectors.EVENT_READ, self._accept)
        self._selector.register(sys.stdin, selectors.EVENT_READ)
        while True:
            turns = self._selector.select(self._patience())
            if not turns and not self._shelf.is_stocked:
                self._shelf.stock()
            for key, events in turns:
                if key.fileobj is sys.stdin:
                    return
                key.data(events)
            self._answer_what_is_due()

    def _patience(self) -> float | None:
        if not self._shelf.is_stocked:
            return 0.0
        return max(0.0, self._due[0][0] - time.monotonic()) if self._due else None

    def _answer_what_is_due(self) -> None:
        while self._due and self._due[0][0] <= time.monotonic():
            _, _, peer, answer = heapq.heappop(self._due)
            if peer.is_open:
                self._write(peer, answer)

    def _accept(self, _events: int) -> None:
        connection, _ = self._listener.accept()
        connection.settimeout(0)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # A page goes out in one piece, and the next one can be made while it is read.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER)
        peer = Peer(connection)
        turn = functools.partial(self._turn, peer)
        self._selector.register(connection, selectors.EVENT_READ, turn)

    def _turn(self, peer: Peer, events: int) -> None:
        try:
            if events & selectors.EVENT_WRITE:
                self._write(peer, b"")
            if events & selectors.EVENT_READ:
                self._read(peer)
        except ConnectionError:
            self._close(peer)

    def _close(self, peer: Peer) -> None:
        peer.is_open = False
        self._selector.unregister(peer.connection)
        peer.connection.close()

    def _read(self, peer: Peer) -> None:
        data = peer.connection.recv(_CHUNK)
        if not data:
            self._close(peer)
            return
        peer.received += data
        while (request := _take_request(peer.received)) is not None:
            self._handle(peer, request)

    def _handle(self, peer: Peer, request: bytes) -> None:
        first = request[: request.index(b"\r\n")]
        if USAGE_PATH.encode() in first:
            self._write(peer, self._usage())
            return
        self._requests += 1
        answer = self._answer(first, int(time.time()))
        if not self.latency:
            self._write(peer, answer)
            return
        # The count keeps equal times apart, since peers can't be compared.
        heapq.heappush(self._due, (time.monotonic() + self.latency, self._requests, peer, answer))

    def _answer(self, first: bytes, second: int) -> bytes:
        if found := _EXECUTION.search(first):
            return _execution(found[1].decode(), second)
        if found := _ORDERS.search(first):
            offset, limit = _OFFSET.search(found[2]), _LIMIT.search(found[2])
            page = self._shelf.take(
                found[1].decode(),
                offset=int(offset[1]) if offset else 0,
                limit=int(limit[1]) if limit else 100,
            )
            return _with_head(page, _date(second))
        return _with_head(pages.token(), _date(second))

    def _usage(self) -> bytes:
        return _with_head(json.dumps({"cpu": time.process_time()}).encode(), "")

    def _write(self, peer: Peer, answer: bytes) -> None:
        if peer.pending:
            peer.pending += answer
            answer = bytes(peer.pending)
        try:
            sent = peer.connection.send(answer)
        except BlockingIOError:
            sent = 0
        except ConnectionError:
            # Whoever is gone needs no answer; reading from it will say that it is over.
            sent = len(answer)
        peer.pending = bytearray(memoryview(answer)[sent:])
        events = selectors.EVENT_READ | (selectors.EVENT_WRITE if peer.pending else 0)
        key = self._selector.get_map().get(peer.connection)
        if key is not None and key.events != events:
            self._selector.modify(peer.connection, events, key.data)


def _take_request(received: bytearray) -> bytes | None:
    end = received.find(_END)
    if end < 0:
        return None
    size = end + len(_END)
    if received.startswith(b"POST"):
        length = _LENGTH.search(received, 0, size)
        size += int(length[1]) if length else 0
        if len(received) < size:
            return None
    request = bytes(received[:size])
    del received[:size]
    return request


@functools.lru_cache(maxsize=8)
def _execution(identifier: str, second: int) -> bytes:
    return _with_head(pages.execution(identifier), _date(second))


@functools.lru_cache(maxsize=2)
def _date(second: int) -> str:
    # Clients learn the server's clock from it: a date that stands still would be one that is off.
    return f"date: {formatdate(second, usegmt=True)}\r\n"


def _with_head(body: bytes, date: str) -> bytes:
    head = (
        "HTTP/1.1 200 OK\r\n"
        "content-type: application/json\r\n"
        "upvest-request-id: 0f5a4c2e-6d5c-4b1a-9a57-3c7a1f3d9b10\r\n"
        f"{date}content-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def main() -> None:
    """Serve, after printing the port."""
    parser = argparse.ArgumentParser(description="Answer fixed bytes until standard input ends.")
    parser.add_argument("--latency", type=float, default=0.0, help="seconds that answers wait")
    server = Server(parser.parse_args().latency)
    print(server.port, flush=True)
    server.serve()


if __name__ == "__main__":
    main()
